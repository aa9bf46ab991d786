# Nghttp2_INCLUDE_DIR, Nghttp2_LIBRARY: HTTP/2's frames, for knit::http.
find_path(Nghttp2_INCLUDE_DIR nghttp2/nghttp2.h)
find_library(Nghttp2_LIBRARY nghttp2)
mark_as_advanced(Nghttp2_INCLUDE_DIR Nghttp2_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Nghttp2 REQUIRED_VARS Nghttp2_INCLUDE_DIR Nghttp2_LIBRARY)
