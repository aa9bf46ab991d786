# Liburing::Liburing, version 2.3 or newer. Installed beside knit's package file, which needs it to link knit.
find_path(Liburing_INCLUDE_DIR liburing.h)
find_library(Liburing_LIBRARY uring)
mark_as_advanced(Liburing_INCLUDE_DIR Liburing_LIBRARY)

# Older ones have no version number in their headers; DEFER_TASKRUN came with 2.3.
set(Liburing_HAS_DEFER_TASKRUN "")
if(Liburing_INCLUDE_DIR AND EXISTS "${Liburing_INCLUDE_DIR}/liburing/io_uring.h")
    file(STRINGS "${Liburing_INCLUDE_DIR}/liburing/io_uring.h" Liburing_HAS_DEFER_TASKRUN REGEX "IORING_SETUP_DEFER_TASKRUN")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Liburing
    REQUIRED_VARS Liburing_LIBRARY Liburing_INCLUDE_DIR Liburing_HAS_DEFER_TASKRUN
    REASON_FAILURE_MESSAGE "knit needs liburing 2.3 or newer: install liburing-dev")

if(Liburing_FOUND AND NOT TARGET Liburing::Liburing)
    add_library(Liburing::Liburing UNKNOWN IMPORTED)
    set_target_properties(Liburing::Liburing PROPERTIES
        IMPORTED_LOCATION "${Liburing_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${Liburing_INCLUDE_DIR}")
endif()
