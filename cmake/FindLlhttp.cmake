# Llhttp::Llhttp, a static library made of the sources that Debian's node-llhttp ships. Needed to build knit::http, not
# to use it.
find_path(Llhttp_INCLUDE_DIR llhttp/llhttp.h PATHS /usr/share/include)
find_path(Llhttp_SOURCE_DIR llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
mark_as_advanced(Llhttp_INCLUDE_DIR Llhttp_SOURCE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Llhttp
    REQUIRED_VARS Llhttp_INCLUDE_DIR Llhttp_SOURCE_DIR
    REASON_FAILURE_MESSAGE "llhttp is missing: install node-llhttp (or set Llhttp_INCLUDE_DIR and Llhttp_SOURCE_DIR)")

if(Llhttp_FOUND AND NOT TARGET knit_llhttp)
    enable_language(C)
    # Objects, so that knit_http can hold them and its users need no llhttp.
    add_library(knit_llhttp OBJECT
        "${Llhttp_SOURCE_DIR}/api.c" "${Llhttp_SOURCE_DIR}/http.c" "${Llhttp_SOURCE_DIR}/llhttp.c")
    target_include_directories(knit_llhttp SYSTEM PUBLIC "${Llhttp_INCLUDE_DIR}"
        PRIVATE "${Llhttp_INCLUDE_DIR}/llhttp")
    # Its strict mode refuses what curl sends in targets; knit looks at each line itself before.
    target_compile_definitions(knit_llhttp PRIVATE LLHTTP_STRICT_MODE=0)
    target_compile_options(knit_llhttp PRIVATE -w)
endif()
