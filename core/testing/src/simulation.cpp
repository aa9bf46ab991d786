#include "simulation.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "knit/detail/worker.hpp"
#include "knit/dump.hpp"
#include "knit/testing.hpp"
#include "runtime_core.hpp"
#include "seeds.hpp"

namespace knit::testing {
namespace detail {
namespace {

constexpr std::chrono::hours kGrace{24};
// So many idle turns for each loop before all are looked at in turn.
constexpr std::size_t kIdleTurns = 8;

class SimulationDriver final : public knit::detail::Driver {
public:
    explicit SimulationDriver(bool is_first) : is_first_(is_first), random_(world().seed) {}

    TimePoint now() noexcept override { return TimePoint(std::chrono::hours(1)) + world().elapsed; }
    void poll() noexcept override { world().polls += is_first_ ? 1 : 0; }
    void park(TimePoint) noexcept override {}
    void wake() noexcept override {}
    void close() noexcept override {}
    std::size_t in_flight() const noexcept override { return 0; }
    bool is_simulation() const noexcept override { return true; }

    void simulate(knit::detail::RuntimeCore& runtime) override {
        knit::detail::Worker& first = runtime.worker(0);
        first.start_turning();
        idle_in_a_row_ = 0;
        while (!first.is_stopping()) {
            const std::size_t index = random_() % runtime.size();
            if (step(runtime, index)) {
                idle_in_a_row_ = 0;
                is_patience_over_ = false;
            } else if (++idle_in_a_row_ > runtime.size() * kIdleTurns && all_idle(runtime) && !jump(runtime)) {
                wait_for_outside(runtime);
            }
        }
        first.make_current();
    }

private:
    static bool step(knit::detail::RuntimeCore& runtime, std::size_t index) {
        knit::detail::Worker& worker = runtime.worker(index);
        worker.make_current();
        if (!worker.step()) {
            return false;
        }
        World& here = world();
        char line[96];
        const int length = std::snprintf(line, sizeof line, "%lld loop %zu made %llu ended %llu",
                                         static_cast<long long>(here.elapsed.count()), index,
                                         static_cast<unsigned long long>(worker.made()),
                                         static_cast<unsigned long long>(worker.ended()));
        here.add({line, static_cast<std::size_t>(length)});
        if (++here.steps == here.steps_max) {
            runtime.fail(std::make_exception_ptr(RuntimeError("the simulation has taken " + std::to_string(here.steps) +
                                                              " steps; seed " + std::to_string(here.seed))));
        }
        return true;
    }
    static bool all_idle(knit::detail::RuntimeCore& runtime) {
        bool any = false;
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            any = step(runtime, index) || any;
        }
        return !any;
    }
    /// To the earliest deadline. False when there is none.
    bool jump(knit::detail::RuntimeCore& runtime) {
        TimePoint earliest = knit::detail::kNever;
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            earliest = std::min(earliest, runtime.worker(index).next_deadline());
        }
        if (earliest == knit::detail::kNever) {
            return false;
        }
        if (earliest > now()) {
            world().elapsed += earliest - now();
            ++world().jumps;
        }
        return true;
    }
    /// Nothing can go on from inside.
    void wait_for_outside(knit::detail::RuntimeCore& runtime) {
        const auto time = std::chrono::steady_clock::now();
        if (!is_patience_over_) {
            is_patience_over_ = true;
            const bool has_outside = runtime.blocking_pool().has_threads() || world().steps_max == 0;
            patience_end_ = has_outside ? time + world().patience : time;
        }
        if (time < patience_end_) {
            std::this_thread::yield();
            return;
        }
        runtime.worker(0).make_current();
        const std::string text = "nothing can run and nothing is due, " + std::to_string(runtime.live_tasks()) +
                                 " tasks wait; seed " + std::to_string(world().seed) + "\n" + dump_tasks();
        if (std::exchange(has_failed_, true)) {
            std::fprintf(stderr, "deadlock at the end of the run: %s\n", text.c_str());
            std::abort();
        }
        is_patience_over_ = false;
        runtime.fail(std::make_exception_ptr(DeadlockError(text)));
    }

    const bool is_first_;
    bool is_patience_over_ = false;  ///< the end of the patience is known
    bool has_failed_ = false;
    std::size_t idle_in_a_row_ = 0;
    std::chrono::steady_clock::time_point patience_end_{};
    std::mt19937_64 random_;
};

}  // namespace

World& world() noexcept {
    static World instance = [] {
        World made;
        if (const char* const text = seed_text()) {
            made.seed = std::strtoull(text, nullptr, 10);
        }
        return made;
    }();
    return instance;
}

void World::add(std::string_view line) {
    for (const char letter : line) {
        hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211U;
    }
    hash = (hash ^ '\n') * 1099511628211U;
    if (keeps_trace) {
        trace.append(line).push_back('\n');
    }
}

Simulation::Simulation(std::uint64_t seed, const SimulationOptions& options)
    : run_options_(options.run), report_(options.report) {
    if (knit::detail::Worker::current() != nullptr) {
        throw RuntimeError("simulate() cannot be called from a running event loop");
    }
    run_options_.loops = options.loops;
    if (!run_options_.grace) {
        run_options_.grace = kGrace;
    }
    World& here = world();
    here = World{};
    here.seed = seed;
    here.random.seed(seed ^ 0x9e3779b97f4a7c15U);
    here.steps_max = std::max<std::uint64_t>(options.steps_max, 1);
    here.keeps_trace = options.keeps_trace;
    here.network = options.network;
}

Simulation::~Simulation() {
    World& here = world();
    if (report_ != nullptr) {
        *report_ = {here.seed, here.steps, here.elapsed, here.hash, std::move(here.trace)};
    }
    here = World{};
}

}  // namespace detail

Duration elapsed() noexcept { return detail::world().elapsed; }
void pass_time(Duration time) noexcept { detail::world().elapsed += time; }
void note(std::string_view text) { detail::world().add(text); }
std::uint64_t random_below(std::uint64_t limit) { return detail::world().below(limit); }

}  // namespace knit::testing

namespace knit::detail {

std::unique_ptr<Driver> make_driver(Worker& worker, const Settings&) {
    return std::make_unique<testing::detail::SimulationDriver>(worker.id() == 0);
}

}  // namespace knit::detail
