/// Testing: programs of knit without a kernel, the same each time. Link knit::testing, which stands in the place of
/// knit::knit: all loops of a runtime take turns on the calling thread, in an order that a seed decides, on a clock
/// that jumps to the next deadline when nothing can run. There are no descriptors; streams and listeners are simulated
/// (knit/testing/network.hpp), and code that takes any ByteStream runs on them as it is.
///
/// The same seed gives the same run, step by step. Not so what other threads do: to_thread() and a thread of the test's
/// own are waited for in real time.
///
///     TEST(Cache, KeepsTheNewestValue) {
///         knit::testing::for_each_seed(1, 1000, [](std::uint64_t seed) {
///             knit::testing::simulate(seed, {.loops = 4}, main_coro());
///         });
///     }
#pragma once

#include <cstdint>
#include <functional>
#include <source_location>
#include <string>
#include <utility>

#include "knit/error.hpp"
#include "knit/runtime.hpp"
#include "knit/testing/network.hpp"
#include "knit/time.hpp"

namespace knit::testing {

/// What a simulation did.
struct SimulationReport {
    std::uint64_t seed = 0;
    std::uint64_t steps = 0;       ///< turns of loops that found something to do
    Duration elapsed{};            ///< virtual time
    std::uint64_t trace_hash = 0;  ///< of the trace, which is only kept where SimulationOptions say so
    std::string trace;             ///< a line for each step, and for each note()
};

struct SimulationOptions {
    unsigned loops = 2;
    NetworkOptions network = {};
    /// A run of more steps throws RuntimeError: it goes round in circles.
    std::uint64_t steps_max = 50'000'000;
    bool keeps_trace = false;
    /// Where the report goes, also when the run throws; null: nowhere.
    SimulationReport* report = nullptr;
    /// All else about the runtime. `loops` above counts. Unless `grace` is set, the end of the run gives tasks that
    /// have been cancelled a day of virtual time.
    RunOptions run = {};
};

/// Nothing can run, nothing is due, and tasks wait. what() shows them all, and the seed.
class DeadlockError : public RuntimeError {
public:
    using RuntimeError::RuntimeError;
};

/// Virtual time since the beginning of the simulation.
Duration elapsed() noexcept;
/// Time passes within a step, as if the running task had computed so long.
void pass_time(Duration time) noexcept;
/// Adds a line to the trace.
void note(std::string_view text);
/// A number below `limit` that depends on the seed and on what has been asked before.
std::uint64_t random_below(std::uint64_t limit);

/// Calls `test` with `count` seeds from `first` on. When one throws, says on stderr which, with the command that
/// repeats it, and rethrows. KNIT_TEST_SEED in the environment, or --seed on the command line: with that seed alone.
void for_each_seed(std::uint64_t first, std::uint64_t count, const std::function<void(std::uint64_t)>& test);

/// Lets the command line of a test program say which seeds every for_each_seed() runs: `--seed=N` that one alone,
/// `--seeds=N` so many, `--first=N` from there on; it wins over what the test and the environment say. Takes those out
/// of the arguments, as test frameworks take theirs. `select_test` gives the argument that selects the running test,
/// for the command that repeats a failure. Throws ValueError for what is no number.
///
///     int main(int count, char** arguments) {
///         ::testing::InitGoogleTest(&count, arguments);
///         knit::testing::take_seed_arguments(count, arguments, [] {
///             const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
///             return std::string("--gtest_filter=") + test->test_suite_name() + "." + test->name();
///         });
///         return RUN_ALL_TESTS();
///     }
void take_seed_arguments(int& count, char** arguments, std::function<std::string()> select_test = {});

namespace detail {

/// The world of one simulation, for as long as this lives. One at a time.
class Simulation {
public:
    Simulation(std::uint64_t seed, const SimulationOptions& options);
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;
    const RunOptions& run_options() const noexcept { return run_options_; }

private:
    RunOptions run_options_;
    SimulationReport* const report_;
};

}  // namespace detail

/// Runs `main` as knit::run() does: gives its value, rethrows what it throws. DeadlockError when nothing can go on any
/// more. RuntimeError inside of a running loop.
template <class T>
T simulate(std::uint64_t seed, const SimulationOptions& options, Coro<T> main,
           std::source_location where = std::source_location::current()) {
    const detail::Simulation world(seed, options);
    return run(std::move(main), world.run_options(), where);
}
/// The same for a callable that gives a coroutine.
template <knit::detail::CoroFunction F>
auto simulate(std::uint64_t seed, const SimulationOptions& options, F main) {
    return simulate(seed, options, knit::detail::keep_callable<F>(std::move(main)));
}

}  // namespace knit::testing
