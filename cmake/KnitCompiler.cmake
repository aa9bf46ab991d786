# Refuses compilers whose coroutines are known to be broken, here and where the installed package is used.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
    message(FATAL_ERROR "knit needs GCC 12 or newer (coroutines of older ones miscompile), this is GCC "
        "${CMAKE_CXX_COMPILER_VERSION}. Choose another with -DCMAKE_CXX_COMPILER=g++-12.")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 16)
    message(FATAL_ERROR "knit needs Clang 16 or newer (coroutines of older ones miscompile), this is Clang "
        "${CMAKE_CXX_COMPILER_VERSION}. Choose another with -DCMAKE_CXX_COMPILER=clang++-19.")
endif()
