#include "seeded_main.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "knit/testing.hpp"

namespace knit::test {
namespace {

std::vector<char*>& command_line() {
    static std::vector<char*> words;
    return words;
}

std::string select_test() {
    const ::testing::TestInfo* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    return test == nullptr ? std::string("--gtest_filter=*")
                           : std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name();
}

}  // namespace

void take_seeds_of_command_line() {
    std::vector<char*> words = command_line();
    auto count = static_cast<int>(words.size());
    words.push_back(nullptr);
    testing::take_seed_arguments(count, words.data(), select_test);
}

}  // namespace knit::test

int main(int count, char** arguments) {
    ::testing::InitGoogleTest(&count, arguments);
    knit::test::command_line().assign(arguments, arguments + count);
    try {
        knit::test::take_seeds_of_command_line();
    } catch (const knit::ValueError& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 2;
    }
    return RUN_ALL_TESTS();
}
