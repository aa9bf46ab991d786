# ConcurrentQueue::ConcurrentQueue: moodycamel's queue, headers only. Needed to build knit, not to use it.
find_path(ConcurrentQueue_INCLUDE_DIR concurrentqueue/concurrentqueue.h)
mark_as_advanced(ConcurrentQueue_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ConcurrentQueue
    REQUIRED_VARS ConcurrentQueue_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "knit needs moodycamel::ConcurrentQueue to build: install libconcurrentqueue-dev")

if(ConcurrentQueue_FOUND AND NOT TARGET ConcurrentQueue::ConcurrentQueue)
    add_library(ConcurrentQueue::ConcurrentQueue INTERFACE IMPORTED)
    set_target_properties(ConcurrentQueue::ConcurrentQueue PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${ConcurrentQueue_INCLUDE_DIR}")
endif()
