// Whole loops under the explorer: real tasks on real workers, each worker a thread of the explorer. What is made of the
// sources included here yields at every atomic access between begin() and end() of a scenario; the rest of core is
// linked as users get it.

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
#include "worker.cpp"
#include "worker_end.cpp"

namespace knit::detail {

void heavy_fence() noexcept { model::heavy_fence(); }

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

Coro<> set(bool& flag) {
    flag = true;
    co_return;
}

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

TEST_P(Explored, AnOfferedTaskIsTakenByALoopThatGoesToSleep) {
    EXPECT_TRUE(holds(2, kTwoOld, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool is_awake = false;
        bool has_run = false;
        get_runtime().loop(1).call_soon_threadsafe([&] { is_awake = true; });
        run.begin();
        auto task = spawn(set(has_run));
        hog(run, has_run);
        run.end();
        co_await task;
        hog(run, is_awake);
    }));
}

/// So many that the deque does without fences afterwards.
void offer_many(model::Run& run) {
    for (unsigned count = 0; count <= Deque::kPushesUntilUnfenced; ++count) {
        static_cast<void>(spawn(yield()));
    }
    run.let_others_rest();
}

TEST_P(Explored, AnOfferedTaskIsTakenWhereTheDequeHasNoFences) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        offer_many(run);
        bool is_up = false;
        bool has_run = false;
        get_runtime().loop(1).call_soon_threadsafe([&] { is_up = true; });
        run.begin();
        hog(run, is_up);  // from here on the other loop is on its way to sleep
        auto task = spawn(set(has_run));
        hog(run, has_run);
        run.end();
        co_await task;
    }));
}

TEST_P(Explored, AMessageReachesALoopThatGoesToSleep) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool first = false;
        bool second = false;
        run.begin();
        get_runtime().loop(1).call_soon_threadsafe([&] { first = true; });
        hog(run, first);
        get_runtime().loop(1).call_soon_threadsafe([&] { second = true; });
        hog(run, second);
        run.end();
        EXPECT_TRUE(first);
        co_return;
    }));
}

TEST_P(Explored, ASubmittedTaskWakesALoopThatGoesToSleep) {
    bool is_on = false;
    bool has_run = false;
    EXPECT_TRUE(holds(
        2, kBounds,
        [&](model::Run& run) -> Coro<> {
            run.let_others_rest();
            is_on = has_run = false;
            run.begin();
            get_runtime().loop(1).call_soon_threadsafe([] {});
            is_on = true;
            hog(run, has_run);
            run.end();
            is_on = false;
            co_return;
        },
        [&](Runtime& runtime, model::Run& run) {
            hog(run, is_on);
            static_cast<void>(runtime.submit(set(has_run)));
        }));
}

TEST_P(Explored, TheLastSearcherPassesTheWakeOn) {
    EXPECT_TRUE(holds(3, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool one = false;
        bool two = false;
        run.begin();
        // The first to be taken computes until the other has run.
        auto first = spawn([&]() -> Coro<> {
            one = true;
            hog(run, two);
            co_return;
        });
        auto second = spawn([&]() -> Coro<> {
            two = true;
            hog(run, one);
            co_return;
        });
        run.wait_until([&] { return one && two; });
        run.end();
        co_await first;
        co_await second;
    }));
}

TEST_P(Explored, ATaskThatIsOfferedWhenTheLastSearcherStopsIsTaken) {
    EXPECT_TRUE(holds(3, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool two = false;
        auto first = spawn([&]() -> Coro<> {
            hog(run, two);
            co_return;
        });
        run.begin();
        const Worker& here = *Worker::current();
        run.wait_until([&] { return !here.has_stealable(); });  // from here on a loop has found something
        auto second = spawn(set(two));
        hog(run, two);
        run.end();
        co_await first;
        co_await second;
    }));
}

Coro<> sleep_till_cancelled(bool& is_over) {
    try {
        co_await sleep(std::chrono::hours(1));
    } catch (const CancelledError&) {
        is_over = true;
        throw;
    }
}

TEST_P(Explored, ATaskThatNobodyHasBegunHearsOfItsCancellation) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool is_over = false;
        run.begin();
        auto task = spawn(sleep_till_cancelled(is_over));
        task.cancel();
        run.wait_until([&] { return is_over || task.done(); });
        run.end();
        const Result<void> result = co_await as_result(task);
        run.expect(task.cancelled(), "the cancellation was lost");
    }));
}

TEST_P(Explored, ATaskThatIsJustBeingTakenHearsOfItsCancellation) {
    EXPECT_TRUE(holds(2, kTwoOld, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool is_over = false;
        auto task = spawn(sleep_till_cancelled(is_over));
        run.begin();
        const Worker& here = *Worker::current();
        run.wait_until([&] { return !here.has_stealable(); });
        task.cancel();
        run.wait_until([&] { return is_over || task.done(); });
        run.end();
        const Result<void> result = co_await as_result(task);
        run.expect(task.cancelled(), "the cancellation was lost");
    }));
}

Coro<> wait_for_ever() { co_await sleep(std::chrono::hours(1)); }
Coro<> fail_at_once() {
    throw RuntimeError("as planned");
    co_return;
}

TEST_P(Explored, AForkStopsTheChildThatIsJustBeingTaken) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool has_failed = false;
        run.begin();
        auto fork = fork_join(wait_for_ever(), fail_at_once());
        try {
            co_await std::move(fork);
        } catch (const RuntimeError&) {
            has_failed = true;
        }
        run.end();
        run.expect(has_failed, "the failure was lost");
    }));
}

Coro<int> give(Atomic<int>& place) {
    place.store(1, std::memory_order_relaxed);
    co_return 1;
}

TEST_P(Explored, AForkGoesOnOnceWhenAllChildrenHaveEnded) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        Atomic<int> left{0};
        Atomic<int> right{0};
        run.begin();
        auto fork = fork_join(give(left), give(right));
        auto result = co_await std::move(fork);
        const int seen = left.load(std::memory_order_relaxed) + right.load(std::memory_order_relaxed);
        run.end();
        run.expect(seen == 2, "the fork went on and did not see what a child had done");
        run.expect(std::get<0>(result) + std::get<1>(result) == 2, "a result was lost");
    }));
}

TEST_P(Explored, OneOfTwoSettersOfAFutureWins) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        Future<int> future;
        int winners = 0;
        bool has_tried = false;
        run.begin();
        get_runtime().loop(1).call_soon_threadsafe([&] {
            winners += future.done() ? 0 : 1;
            try {
                future.set_result(1);
            } catch (const InvalidStateError&) {
                --winners;
            }
            has_tried = true;
        });
        try {
            future.set_result(2);
            ++winners;
        } catch (const InvalidStateError&) {
        }
        const int value = co_await future;
        hog(run, has_tried);
        run.end();
        run.expect(value == 1 || value == 2, "a future has a value that nobody has set");
    }));
}

}  // namespace

// Asking the cgroups takes longer than an execution.
unsigned default_loops() { return 1; }

bool asymmetric_fences() noexcept { return g_is_asymmetric; }

std::unique_ptr<Driver> make_driver(Worker& worker, const Settings&) { return std::make_unique<ModelDriver>(worker); }

}  // namespace knit::detail
