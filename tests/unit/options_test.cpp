#include "knit/options.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "knit/error.hpp"
#include "platform.hpp"

namespace knit::detail {
namespace {

using namespace std::chrono_literals;

/// Begins and ends without any KNIT_ variable, whatever the caller's environment has.
class Options : public ::testing::Test {
protected:
    Options() {
        for (char** entry = environ; *entry != nullptr; ++entry) {
            const std::string text(*entry);
            if (text.starts_with("KNIT_")) {
                saved_.push_back(text);
            }
        }
        clear();
    }
    ~Options() override {
        clear();
        for (const std::string& text : saved_) {
            set(text.substr(0, text.find('=')), text.substr(text.find('=') + 1));
        }
    }
    void set(const std::string& variable, const std::string& value) {
        ASSERT_EQ(setenv(variable.c_str(), value.c_str(), 1), 0);
    }

private:
    static void clear() {
        std::vector<std::string> variables;
        for (char** entry = environ; *entry != nullptr; ++entry) {
            const std::string text(*entry);
            if (text.starts_with("KNIT_")) {
                variables.push_back(text.substr(0, text.find('=')));
            }
        }
        for (const std::string& variable : variables) {
            unsetenv(variable.c_str());
        }
    }
    std::vector<std::string> saved_;
};

std::string error_of(const RunOptions& options) {
    try {
        resolve(options);
    } catch (const ValueError& error) {
        return error.what();
    }
    return "no error";
}

std::string first_allowed() { return std::to_string(allowed_cpus().front()); }

/// A CPU that this process may not use.
std::string forbidden() { return std::to_string(allowed_cpus().back() + 1); }

/// The line of describe() on `variable`, each run of spaces made one.
std::string description(const RunOptions& options, const std::string& variable) {
    const std::string text = describe(effective_settings(options));
    const std::size_t start = text.find(variable + " ");
    std::string line;
    for (std::size_t i = start; i < text.size() && text[i] != '\n'; ++i) {
        if (text[i] != ' ' || line.empty() || line.back() != ' ') {
            line += text[i];
        }
    }
    return line;
}

TEST_F(Options, TheSignalOfADumpIsGivenByName) {
    EXPECT_EQ(resolve({}).dump_signal, 0);
    EXPECT_EQ(resolve({.dump_signal = SIGUSR2}).dump_signal, SIGUSR2);
    EXPECT_EQ(error_of({.dump_signal = SIGKILL}),
              "RunOptions::dump_signal = 9: expected off, USR1, USR2, HUP or QUIT; on is USR1");
    for (const auto& [text, signal] : {std::pair("on", SIGUSR1), std::pair("USR1", SIGUSR1),
                                       std::pair("SIGHUP", SIGHUP), std::pair("QUIT", SIGQUIT), std::pair("off", 0)}) {
        set("KNIT_DUMP_SIGNAL", text);
        EXPECT_EQ(resolve({}).dump_signal, signal) << text;
    }
    set("KNIT_DUMP_SIGNAL", "KILL");
    EXPECT_EQ(error_of({}), "KNIT_DUMP_SIGNAL=KILL: expected off, USR1, USR2, HUP or QUIT; on is USR1");
}

TEST_F(Options, TheDriverIsGivenByName) {
    EXPECT_EQ(resolve({}).driver, DriverKind::automatic);
    EXPECT_EQ(resolve({.driver = DriverKind::epoll}).driver, DriverKind::epoll);
    set("KNIT_DRIVER", "uring");
    EXPECT_EQ(resolve({}).driver, DriverKind::uring);
    EXPECT_EQ(description({}, "KNIT_DRIVER"), "KNIT_DRIVER uring environment");
    EXPECT_EQ(description({.driver = DriverKind::epoll}, "KNIT_DRIVER"), "KNIT_DRIVER epoll RunOptions::driver");
}

TEST_F(Options, TheMetricsSocketIsAPathOrAnAbstractName) {
    EXPECT_EQ(resolve({}).metrics, "");
    EXPECT_EQ(resolve({.metrics = "/run/knit"}).metrics, "/run/knit");
    set("KNIT_METRICS", "@knit");
    EXPECT_EQ(resolve({}).metrics, "@knit");
    EXPECT_EQ(resolve({.metrics = ""}).metrics, "");
    set("KNIT_METRICS", "off");
    EXPECT_EQ(resolve({}).metrics, "");
    set("KNIT_METRICS", "@");
    EXPECT_EQ(error_of({}),
              "KNIT_METRICS=@: expected off, a path of at most 107 bytes, or @name for an abstract socket");
    unsetenv("KNIT_METRICS");
    EXPECT_EQ(error_of({.metrics = std::string(107, 'x')}), "no error");
    EXPECT_NE(error_of({.metrics = std::string(108, 'x')}), "no error");
}

TEST_F(Options, WithoutAnythingSetAreTheDefaults) {
    const Settings settings = resolve({});
    EXPECT_EQ(settings.loops, default_loops());
    EXPECT_EQ(settings.blocking_threads, std::min<std::size_t>(32, allowed_cpus().size() + 4));
    EXPECT_TRUE(settings.cpus.empty());
    EXPECT_EQ(settings.ring_entries, 256U);
    EXPECT_EQ(settings.spin, 20us);
    EXPECT_TRUE(settings.steal);
    EXPECT_EQ(settings.budget, 64U);
    EXPECT_FALSE(settings.debug);
    EXPECT_EQ(settings.slow_task, 100ms);
    EXPECT_FALSE(settings.report);
}

TEST_F(Options, AreReadFromTheEnvironment) {
    set("KNIT_LOOPS", "3");
    set("KNIT_CPUS", first_allowed());
    set("KNIT_RING_ENTRIES", "8");
    set("KNIT_SPIN_US", "0");
    set("KNIT_STEAL", "off");
    set("KNIT_BUDGET", "65536");
    set("KNIT_BLOCKING_THREADS", "1");
    set("KNIT_DEBUG", "on");
    set("KNIT_SLOW_TASK_MS", "250");
    set("KNIT_REPORT", "yes");
    const Settings settings = resolve({});
    EXPECT_EQ(settings.loops, 3U);
    EXPECT_EQ(settings.cpus, std::vector<unsigned>{allowed_cpus().front()});
    EXPECT_EQ(settings.ring_entries, 8U);
    EXPECT_EQ(settings.spin, 0us);
    EXPECT_FALSE(settings.steal);
    EXPECT_EQ(settings.budget, 65536U);
    EXPECT_EQ(settings.blocking_threads, 1U);
    EXPECT_TRUE(settings.debug);
    EXPECT_EQ(settings.slow_task, 250ms);
    EXPECT_TRUE(settings.report);
}

TEST_F(Options, AFieldThatIsSetWinsOverItsVariable) {
    set("KNIT_LOOPS", "3");
    set("KNIT_CPUS", "auto");
    set("KNIT_RING_ENTRIES", "8");
    set("KNIT_SPIN_US", "1");
    set("KNIT_STEAL", "on");
    set("KNIT_BUDGET", "1");
    set("KNIT_BLOCKING_THREADS", "1");
    set("KNIT_DEBUG", "on");
    set("KNIT_SLOW_TASK_MS", "1");
    set("KNIT_REPORT", "off");
    const Settings settings = resolve({.loops = 2,
                                       .debug = false,
                                       .cpus = std::vector<unsigned>{},
                                       .ring_entries = 32768,
                                       .spin = 7us,
                                       .steal = false,
                                       .budget = 9,
                                       .blocking_threads = 4096,
                                       .slow_task = 0ms,
                                       .report = true});
    EXPECT_EQ(settings.loops, 2U);
    EXPECT_FALSE(settings.debug);
    EXPECT_TRUE(settings.cpus.empty());
    EXPECT_EQ(settings.ring_entries, 32768U);
    EXPECT_EQ(settings.spin, 7us);
    EXPECT_FALSE(settings.steal);
    EXPECT_EQ(settings.budget, 9U);
    EXPECT_EQ(settings.blocking_threads, 4096U);
    EXPECT_EQ(settings.slow_task, 0ms);
    EXPECT_TRUE(settings.report);
}

TEST_F(Options, AnEmptyVariableIsUnset) {
    set("KNIT_LOOPS", "");
    set("KNIT_UNHEARD_OF", "");
    EXPECT_EQ(resolve({}).loops, default_loops());
}

TEST_F(Options, RefusesAnUnknownVariableAndListsTheKnown) {
    set("KNIT_LOPS", "2");
    EXPECT_EQ(
        error_of({}),
        "unknown environment variable KNIT_LOPS; knit reads: KNIT_LOOPS, KNIT_CPUS, KNIT_RING_ENTRIES, KNIT_SPIN_US, "
        "KNIT_STEAL, KNIT_BUDGET, KNIT_BLOCKING_THREADS, KNIT_DEBUG, KNIT_SLOW_TASK_MS, KNIT_REPORT, KNIT_DUMP_SIGNAL, "
        "KNIT_DRIVER, KNIT_METRICS");
}

TEST_F(Options, LeavesTheVariablesOfTheTestsAlone) {
    set("KNIT_STRESS_MS", "1");
    set("KNIT_TEST_SEED", "1");
    EXPECT_EQ(error_of({}), "no error");
}

TEST_F(Options, RefusesAValueThatDoesNotParseAndSaysWhatIsAccepted) {
    const struct {
        std::string variable;
        std::vector<std::string> values;
        std::string accepted;
    } cases[] = {
        {"KNIT_LOOPS",
         {"abc", "0", "1025", "-1", "+1", " 1", "1 ", "2x", "1.5", "4294967297"},
         "a whole number from 1 to 1024"},
        {"KNIT_RING_ENTRIES", {"4", "100", "65536", "x"}, "a power of two from 8 to 32768"},
        {"KNIT_SPIN_US", {"1000001", "-1", "20us"}, "a whole number of microseconds from 0 to 1000000"},
        {"KNIT_STEAL", {"maybe", "2", "onn"}, "on or off (also 1, true, yes; 0, false, no)"},
        {"KNIT_BUDGET", {"0", "65537"}, "a whole number from 1 to 65536"},
        {"KNIT_BLOCKING_THREADS", {"0", "4097"}, "a whole number from 1 to 4096"},
        {"KNIT_DEBUG", {"y"}, "on or off (also 1, true, yes; 0, false, no)"},
        {"KNIT_SLOW_TASK_MS",
         {"-1", "1000000001", "0.1"},
         "a whole number of milliseconds from 0 to 1000000000, where 0 is off"},
        {"KNIT_DRIVER", {"io_uring", "EPOLL", "2"}, "auto, uring or epoll"},
        {"KNIT_REPORT", {"please"}, "on or off (also 1, true, yes; 0, false, no)"},
    };
    for (const auto& [variable, values, accepted] : cases) {
        for (const std::string& value : values) {
            set(variable, value);
            EXPECT_EQ(error_of({}), variable + "=" + value + ": expected " + accepted);
        }
        unsetenv(variable.c_str());
    }
}

TEST_F(Options, SwitchesTakeEverySpelling) {
    for (const char* value : {"on", "1", "true", "yes", "ON", "True"}) {
        set("KNIT_DEBUG", value);
        EXPECT_TRUE(resolve({}).debug) << value;
    }
    for (const char* value : {"off", "0", "false", "no", "OFF", "No"}) {
        set("KNIT_STEAL", value);
        EXPECT_FALSE(resolve({}).steal) << value;
    }
}

TEST_F(Options, AWrongVariableIsAnErrorEvenWhereTheFieldWins) {
    set("KNIT_BUDGET", "none");
    EXPECT_EQ(error_of({.budget = 5}), "KNIT_BUDGET=none: expected a whole number from 1 to 65536");
}

TEST_F(Options, RefuseAFieldOutOfRangeByItsName) {
    EXPECT_EQ(error_of({.loops = 1025}), "RunOptions::loops = 1025: expected a whole number from 1 to 1024");
    EXPECT_EQ(error_of({.ring_entries = 12}), "RunOptions::ring_entries = 12: expected a power of two from 8 to 32768");
    EXPECT_EQ(error_of({.spin = -1us}),
              "RunOptions::spin = -1: expected a whole number of microseconds from 0 to 1000000");
    EXPECT_EQ(error_of({.budget = 0}), "RunOptions::budget = 0: expected a whole number from 1 to 65536");
    EXPECT_EQ(error_of({.blocking_threads = 0}),
              "RunOptions::blocking_threads = 0: expected a whole number from 1 to 4096");
    EXPECT_EQ(error_of({.slow_task = Duration::max()}).substr(0, 23), "RunOptions::slow_task =");
    EXPECT_NE(
        error_of({.cpus = std::vector<unsigned>{allowed_cpus().back() + 1}}).find("RunOptions::cpus = " + forbidden()),
        std::string::npos);
    EXPECT_NE(error_of({.shutdown_signals = {SIGKILL}}).find("RunOptions::shutdown_signals has 9"), std::string::npos);
}

TEST_F(Options, CpusAutoIsEveryAllowedCpu) {
    set("KNIT_CPUS", "auto");
    EXPECT_EQ(resolve({}).cpus, allowed_cpus());
}

TEST_F(Options, CpusKeepTheOrderAndTheRepetitionsOfTheList) {
    const unsigned cpu = allowed_cpus().back();
    const std::string text = std::to_string(cpu);
    set("KNIT_CPUS", text + "," + first_allowed() + "," + text + "-" + text);
    EXPECT_EQ(resolve({}).cpus, (std::vector<unsigned>{cpu, allowed_cpus().front(), cpu}));
}

TEST_F(Options, CpusTakeARange) {
    const std::vector<unsigned> allowed = allowed_cpus();
    if (allowed.size() < 2 || allowed[1] != allowed[0] + 1) {
        GTEST_SKIP() << "needs two neighbouring CPUs";
    }
    set("KNIT_CPUS", std::to_string(allowed[0]) + "-" + std::to_string(allowed[1]));
    EXPECT_EQ(resolve({}).cpus, (std::vector<unsigned>{allowed[0], allowed[1]}));
}

TEST_F(Options, CpusNameTheAllowedOnesInTheError) {
    for (const std::string& value :
         {forbidden(), first_allowed() + "-" + forbidden(), std::string("0-4294967295"), std::string("-1"),
          std::string("0,"), std::string(","), std::string("3-"), std::string("1-0"), std::string("all")}) {
        set("KNIT_CPUS", value);
        const std::string error = error_of({});
        EXPECT_TRUE(
            error.starts_with("KNIT_CPUS=" + value + ": expected a list of allowed CPUs such as 0,2-3, or auto"))
            << error;
        EXPECT_NE(error.find("; this process may use " + first_allowed()), std::string::npos) << error;
    }
}

TEST_F(Options, AreDescribedWithWhereTheyCameFrom) {
    set("KNIT_SPIN_US", "50");
    const RunOptions options = {.slow_task = 1500us};
    EXPECT_EQ(description(options, "KNIT_SPIN_US"), "KNIT_SPIN_US 50 environment");
    EXPECT_EQ(description(options, "KNIT_SLOW_TASK_MS"), "KNIT_SLOW_TASK_MS 1.5 RunOptions::slow_task");
    EXPECT_EQ(description(options, "KNIT_BUDGET"), "KNIT_BUDGET 64 default");
    EXPECT_EQ(description(options, "KNIT_CPUS"), "KNIT_CPUS not pinned default");
    EXPECT_EQ(description(options, "KNIT_STEAL"), "KNIT_STEAL on default");
}

TEST_F(Options, TheGuideHoldsTheTableOfTheCode) {
    std::ifstream file(KNIT_SOURCE_DIR "/docs/tuning.md");
    const std::string guide(std::istreambuf_iterator<char>(file), {});
    EXPECT_NE(guide.find(tuning_table()), std::string::npos) << "docs/tuning.md should hold:\n" << tuning_table();
}

TEST_F(Options, TheTableNamesTheDefaultsInForce) {
    const std::string table = tuning_table();
    for (const char* row : {"| `KNIT_RING_ENTRIES` | `ring_entries` | a power of two from 8 to 32768 | 256 |",
                            "| `KNIT_SPIN_US` | `spin` | a whole number of microseconds from 0 to 1000000 | 20 |",
                            "| `KNIT_BUDGET` | `budget` | a whole number from 1 to 65536 | 64 |"}) {
        EXPECT_NE(table.find(row), std::string::npos) << table;
    }
}

}  // namespace
}  // namespace knit::detail
