# Installs the built library to a fresh prefix, then configures, builds and runs a project that knows only that prefix.
#   cmake -D build=... -D source=... -D version=... -D compiler=... -D flags=... -D type=... -D generator=... -P TestInstall.cmake
set(work "${build}/install_test")
set(prefix "${work}/prefix")
file(REMOVE_RECURSE "${work}")

function(run what)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "${what} ended with ${status}:\n${output}")
    endif()
    message("${output}")
endfunction()

run("the installation" ${CMAKE_COMMAND} --install "${build}" --prefix "${prefix}")
file(GLOB_RECURSE strangers RELATIVE "${prefix}" "${prefix}/*")
list(FILTER strangers EXCLUDE REGEX "^include/knit/.*\\.hpp$|^lib[^/]*/(.*/)?(libknit(_[a-z]+)?\\.a|cmake/knit/[A-Za-z-]+\\.cmake)$")
if(strangers)
    message(FATAL_ERROR "only headers, the library and the package belong into the prefix, not ${strangers}")
endif()
run("the configuration" ${CMAKE_COMMAND} -S "${source}" -B "${work}/build" -G "${generator}"
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_CXX_COMPILER=${compiler}" "-DCMAKE_CXX_FLAGS=${flags}"
    "-DCMAKE_BUILD_TYPE=${type}" "-DWANTED_VERSION=${version}" "-DWANTED_PREFIX=${prefix}")
run("the build" ${CMAKE_COMMAND} --build "${work}/build")
run("the program" "${work}/build/user")
