// Whole loops under the explorer (loops.hpp): sleeping, searching and waking, and what else passes between loops.

#include <cstdlib>

#include "loops.hpp"

namespace knit::detail {
namespace {

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

TEST_P(Explored, LoopsAreInTheModeThatIsExplored) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        run.expect(Worker::current()->has_asymmetric_fences() == g_is_asymmetric, "another mode is explored");
        co_return;
    }));
}

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

Coro<> offer_when_the_last_searcher_stops(model::Run& run) {
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
}

TEST_P(Explored, ATaskThatIsOfferedWhenTheLastSearcherStopsIsTaken) {
    EXPECT_TRUE(holds(3, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        co_await offer_when_the_last_searcher_stops(run);
    }));
}

TEST_P(Explored, ATaskThatIsOfferedWithoutAFenceWhenTheLastSearcherStopsIsTaken) {
    EXPECT_TRUE(holds(3, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        offer_many(run);
        co_await offer_when_the_last_searcher_stops(run);
    }));
}

/// The waker counts as a searcher while it looks for a sleeper, and finds none.
TEST_P(Explored, ATaskThatIsOfferedDuringAWakeInVainIsTaken) {
    bool is_on = false;
    bool is_waking = false;
    bool has_run = false;
    bool is_over = false;
    EXPECT_TRUE(holds(
        2, kBounds,
        [&](model::Run& run) -> Coro<> {
            run.let_others_rest();
            is_on = is_waking = has_run = is_over = false;
            run.begin();
            get_runtime().loop(1).call_soon_threadsafe([&] {
                is_on = true;
                hog(run, is_waking);
            });  // after which it goes to sleep
            hog(run, is_on);
            auto task = spawn(set(has_run));
            hog(run, has_run);
            run.end();
            hog(run, is_over);
            is_on = false;
            co_await task;
        },
        [&](Runtime&, model::Run& run) {
            hog(run, is_on);
            is_waking = true;
            g_threads.workers[0]->runtime().wake_one();
            is_over = true;
        }));
}

/// It was woken to search and found nothing; then a message makes it compute.
TEST_P(Explored, ASearcherThatComputesDoesNotKeepOthersAsleep) {
    EXPECT_TRUE(holds(3, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool one = false;
        bool two = false;
        bool is_over = false;
        run.begin();
        auto first = spawn(set(one));  // wakes loop 1
        co_await first;
        get_runtime().loop(1).call_soon_threadsafe([&] {
            hog(run, two);
            is_over = true;
        });
        auto second = spawn(set(two));
        hog(run, two);
        run.end();
        co_await second;
        hog(run, is_over);
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

/// Whoever cancels asks three times whose the task is by now.
TEST_P(Explored, ATaskThatIsJustBeingTakenHearsOfItsCancellation) {
    EXPECT_TRUE(holds(2, kThreeOld, [](model::Run& run) -> Coro<> {
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

/// A run that took no live task for none would end under it.
TEST_P(Explored, TasksAreCountedWhileTheyMakeOthersAndEnd) {
    const model::Bounds no_old{.preemptions = kBounds.preemptions, .old_values = 0};  // what ends them is not explored
    EXPECT_TRUE(holds(2, no_old, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        const auto parent = []() -> Coro<> {
            static_cast<void>(create_task(wait_for_ever()));
            co_return;
        };
        run.begin();
        auto task = get_runtime().loop(1).create_task(parent());
        for (int count = 0; count < 2; ++count) {
            const bool is_counted = Worker::current()->runtime().live_tasks() >= 2;
            run.expect(is_counted, "a live task is not counted");
        }
        run.end();
        co_await task;
    }));
}

Coro<> fail_at_once() {
    throw RuntimeError("as planned");
    co_return;
}

TEST_P(Explored, AForkStopsTheChildThatIsJustBeingTaken) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool has_failed = false;
        run.begin();
        auto fork = fork_join(fail_at_once(), wait_for_ever());
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
}  // namespace knit::detail
