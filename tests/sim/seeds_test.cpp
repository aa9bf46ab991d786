// Which seeds a test runs with, and what a failure says.

#include <gtest/gtest.h>

#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

#include "knit/testing.hpp"
#include "seeded_main.hpp"

namespace knit::test {
namespace {

using Seeds = std::vector<std::uint64_t>;

/// Passes a command line on, and takes the test program's own back.
class Seeded : public ::testing::Test {
protected:
    Seeded() { ::unsetenv("KNIT_TEST_SEED"); }
    ~Seeded() override {
        ::unsetenv("KNIT_TEST_SEED");
        take_seeds_of_command_line();
    }

    /// Gives what is left of it.
    std::vector<std::string> pass(std::initializer_list<const char*> arguments,
                                  std::function<std::string()> select_test = {}) {
        words_.assign(arguments.begin(), arguments.end());
        std::vector<char*> pointers;
        for (std::string& word : words_) {
            pointers.push_back(word.data());
        }
        auto count = static_cast<int>(pointers.size());
        pointers.push_back(nullptr);
        testing::take_seed_arguments(count, pointers.data(), std::move(select_test));
        EXPECT_EQ(pointers[static_cast<std::size_t>(count)], nullptr);
        return {pointers.begin(), pointers.begin() + count};
    }
    Seeds run(std::uint64_t first, std::uint64_t count) {
        Seeds seen;
        testing::for_each_seed(first, count, [&](std::uint64_t seed) { seen.push_back(seed); });
        return seen;
    }
    /// What is said when seed 3 fails.
    std::string failure() {
        ::testing::internal::CaptureStderr();
        EXPECT_THROW(testing::for_each_seed(1, 10,
                                            [](std::uint64_t seed) {
                                                if (seed == 3) {
                                                    throw std::runtime_error("as planned");
                                                }
                                            }),
                     std::runtime_error);
        return ::testing::internal::GetCapturedStderr();
    }

private:
    std::vector<std::string> words_;
};

TEST_F(Seeded, ByTheTestItself) {
    pass({"program"});
    EXPECT_EQ(run(5, 3), (Seeds{5, 6, 7}));
}

TEST_F(Seeded, ByTheEnvironment) {
    pass({"program"});
    ::setenv("KNIT_TEST_SEED", "9", 1);
    EXPECT_EQ(run(5, 3), Seeds{9});
    ::setenv("KNIT_TEST_SEED", "nine", 1);
    EXPECT_THROW(run(5, 3), ValueError);
}

TEST_F(Seeded, ByTheCommandLineBeforeAllElse) {
    ::setenv("KNIT_TEST_SEED", "9", 1);
    pass({"program", "--seed=17"});
    EXPECT_EQ(run(5, 3), Seeds{17});
    pass({"program", "--seeds=2", "--first=100"});
    EXPECT_EQ(run(5, 3), (Seeds{100, 101}));
    pass({"program", "--seeds=1"});
    EXPECT_EQ(run(5, 3), Seeds{5});
    pass({"program", "--first=18446744073709551615"});  // the last that there is
    EXPECT_EQ(run(5, 1), Seeds{UINT64_MAX});
}

TEST_F(Seeded, TheOtherArgumentsAreLeft) {
    using Words = std::vector<std::string>;
    EXPECT_EQ(pass({"program", "--seed=17", "--brief", "--seeds=3", "file"}), (Words{"program", "--brief", "file"}));
    EXPECT_EQ(pass({"--seed=17"}), Words{"--seed=17"});  // the program's name
}

TEST_F(Seeded, WhatIsNoNumberIsRefused) {
    EXPECT_THROW(pass({"program", "--seed"}), ValueError);
    EXPECT_THROW(pass({"program", "--seeds="}), ValueError);
    EXPECT_THROW(pass({"program", "--first=-1"}), ValueError);
    EXPECT_THROW(pass({"program", "--seed=1x"}), ValueError);
}

TEST_F(Seeded, AFailureSaysTheCommandThatRepeatsIt) {
    pass({"build/my tests", "--brief"}, [] { return std::string("--filter=A.*"); });
    const std::string text = failure();
    EXPECT_NE(text.find("seed 3 failed; this repeats it: 'build/my tests' --brief '--filter=A.*' --seed=3\n"),
              std::string::npos)
        << text;
}

TEST_F(Seeded, AFailureNamesTheVariableWhereNoCommandLineIsKnown) {
    int count = 0;
    char* none[] = {nullptr};
    testing::take_seed_arguments(count, none);
    const std::string text = failure();
    EXPECT_NE(text.find("seed 3 failed; this repeats it: KNIT_TEST_SEED=3\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace knit::test
