/// Whole loops under the explorer: real tasks on real workers, each worker a thread of the explorer. What is made of
/// the sources included here yields at every atomic access between begin() and end() of a scenario; the rest of core
/// is linked as users get it. For the programs of whole
/// loops alone.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "explored_test.hpp"
#include "knit/core.hpp"

#include "cancel.cpp"
#include "fork_join.cpp"
#include "idle.cpp"
#include "offers.cpp"
#include "runtime_core.cpp"
#include "runtime_life.cpp"
#include "worker.cpp"
#include "worker_end.cpp"

namespace knit::detail {

void heavy_fence() noexcept { model::heavy_fence(); }
void wait_for_other_thread(unsigned /*round*/) noexcept { model::relax(); }

namespace {

constexpr unsigned kRoundsMax = 100;
bool g_is_asymmetric = false;
model::Run* g_run = nullptr;

/// The loops of the present runtime as threads of the explorer.
struct Threads {
    bool are_there = false;
    unsigned rounds = 0;
    std::vector<Worker*> workers;
    std::vector<std::function<void()>> foreign;
};
Threads g_threads;

class ModelDriver final : public Driver {
public:
    explicit ModelDriver(Worker& worker) { g_threads.workers.push_back(&worker); }

    TimePoint now() noexcept override { return TimePoint(std::chrono::hours(1)); }
    void poll() noexcept override {}
    void park(TimePoint) noexcept override {
        g_run->wait_until([this] { return is_rung_; }, true);
        is_rung_ = false;
    }
    void wake() noexcept override { is_rung_ = true; }
    void close() noexcept override {}
    std::size_t in_flight() const noexcept override { return 0; }
    bool is_simulation() const noexcept override { return true; }
    bool has_threads() const noexcept override { return true; }

    /// The first call makes the threads; loop 0's may end, and is made anew then.
    void simulate(RuntimeCore& runtime) override {
        if (!g_threads.are_there) {
            g_threads.are_there = true;
            for (std::size_t index = 0; index < runtime.size(); ++index) {
                g_run->thread([&runtime, index] {
                    do {
                        runtime.worker(index).run_until_stopped();
                        g_run->wait_until([&runtime, index] { return index != 0 || !runtime.worker(0).is_stopping(); },
                                          true);
                    } while (index == 0);
                });
            }
            for (auto& body : g_threads.foreign) {
                g_run->thread(body);
            }
        }
        if (++g_threads.rounds > kRoundsMax) {
            g_run->fail("the end of the run waits for " + std::to_string(runtime.live_tasks()) + " tasks in vain");
        }
        runtime.worker(0).start_turning();
        g_run->join();
        runtime.worker(0).make_current();
    }

private:
    bool is_rung_ = false;
};

/// Runs `main` on so many loops in all interleavings; `foreign`: what a plain thread does meanwhile.
testing::AssertionResult holds(unsigned loops, const model::Bounds& bounds,
                               const std::function<Coro<>(model::Run&)>& main,
                               const std::function<void(Runtime&, model::Run&)>& foreign = nullptr) {
    const auto result = model::holds(bounds, [&](model::Run& run) {
        g_run = &run;
        g_threads = {};
        RunOptions options;
        options.loops = loops;
        options.spin = Duration::zero();
        options.handle_sigint = false;
        {
            Runtime runtime(options);
            const std::size_t main_thread = 4;
            std::vector<Worker*> current(main_thread + 1);
            for (std::size_t index = 0; index < loops; ++index) {
                current[index] = g_threads.workers[index];
            }
            run.on_switch = [&current](std::size_t from, std::size_t to) {
                current[from] = std::exchange(current_worker(), current[to]);
            };
            if (foreign != nullptr) {
                g_threads.foreign.emplace_back([&] { foreign(runtime, run); });
            }
            runtime.run_until_complete(main(run));
            runtime.close();
        }
        run.on_switch = nullptr;
    });
    current_worker() = nullptr;  // an execution that has failed leaves its loops behind
    return result;
}

/// The loop does nothing else until `flag` is set: what a task does that computes.
void hog(model::Run& run, const bool& flag) {
    run.wait_until([&flag] { return flag; });
}

Coro<> wait_for_ever() { co_await sleep(std::chrono::hours(1)); }

class Explored : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { g_is_asymmetric = GetParam(); }
};
INSTANTIATE_TEST_SUITE_P(Loops, Explored, testing::Bool(), [](const auto& suite) {
    return suite.param ? std::string("Asymmetric") : std::string("Fenced");
});

/// MODEL_DEEP in the environment: one preemption more, which takes minutes.
unsigned more() { return std::getenv("MODEL_DEEP") != nullptr ? 1 : 0; }
const model::Bounds kBounds{.preemptions = 1 + more(), .old_values = 1};
const model::Bounds kTwoOld{.preemptions = 1 + more(), .old_values = 2};
const model::Bounds kThreeOld{.preemptions = 1 + more(), .old_values = 3};
const model::Bounds kFourOld{.preemptions = 1 + more(), .old_values = 4};

}  // namespace

// Asking the cgroups takes longer than an execution.
unsigned default_loops() { return 1; }

bool asymmetric_fences() noexcept { return g_is_asymmetric; }

std::unique_ptr<Driver> make_driver(Worker& worker, const Settings&) { return std::make_unique<ModelDriver>(worker); }

}  // namespace knit::detail
