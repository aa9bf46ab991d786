# Installs the library, its headers and the package that find_package(knit) reads.
include(CMakePackageConfigHelpers)

set(knit_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/knit")
install(TARGETS knit EXPORT knitTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
    FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT knitTargets NAMESPACE knit:: DESTINATION "${knit_package_dir}")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/knitConfig.cmake.in" "${PROJECT_BINARY_DIR}/knitConfig.cmake"
    INSTALL_DESTINATION "${knit_package_dir}")
# Until 1.0 a minor version may break what the one before had.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/knitConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES
    "${PROJECT_BINARY_DIR}/knitConfig.cmake" "${PROJECT_BINARY_DIR}/knitConfigVersion.cmake"
    "${PROJECT_SOURCE_DIR}/cmake/KnitCompiler.cmake" "${PROJECT_SOURCE_DIR}/cmake/FindLiburing.cmake"
    DESTINATION "${knit_package_dir}")
