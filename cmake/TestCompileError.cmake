# Compiles a case twice: with KNIT_CONTROL defined it has to compile, without it has to fail and the compiler has to say
# every text that the case announces by a line "// EXPECT: text".
#   cmake -D case=... -D compiler=... -D flags=... (a list) -P TestCompileError.cmake
file(STRINGS "${case}" announced REGEX "^// EXPECT: ")
if(NOT announced)
    message(FATAL_ERROR "${case} has no line \"// EXPECT: text\"")
endif()

set(compile "${compiler}" ${flags} -c "${case}" -o /dev/null)
execute_process(COMMAND ${compile} -DKNIT_CONTROL RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT status EQUAL 0)
    message(FATAL_ERROR "the correct form of ${case} does not compile:\n${output}")
endif()

execute_process(COMMAND ${compile} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(status EQUAL 0)
    message(FATAL_ERROR "${case} compiles, but must not")
endif()
foreach(line IN LISTS announced)
    string(REGEX REPLACE "^// EXPECT: " "" text "${line}")
    string(FIND "${output}" "${text}" place)
    if(place EQUAL -1)
        message(FATAL_ERROR "the compiler does not say \"${text}\" about ${case}:\n${output}")
    endif()
endforeach()
