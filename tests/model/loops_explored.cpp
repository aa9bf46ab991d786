// Whole loops under the explorer (loops.hpp): sleeping, searching and waking, and what else passes between loops.

#include "loops.hpp"

namespace knit::detail {
namespace {

Coro<> set(bool& flag) {
    flag = true;
    co_return;
}

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

/// So many that the deque does without fences afterwards. The other loops compute meanwhile: one that stole would have
/// this one go back to fences.
Coro<> offer_many(model::Run& run) {
    bool is_over = false;
    Runtime& runtime = get_runtime();
    for (std::size_t other = 1; other < runtime.size(); ++other) {
        runtime.loop(other).call_soon_threadsafe([&] { hog(run, is_over); });
    }
    run.let_others_rest();
    std::vector<Task<>> tasks;
    for (unsigned count = 0; count <= Deque::kPushesUntilUnfenced; ++count) {
        tasks.push_back(spawn(yield()));
    }
    for (auto& task : tasks) {
        co_await task;
    }
    is_over = true;
    run.let_others_rest();
    run.expect(Worker::current()->is_unfenced() == g_is_asymmetric, "the deque is in another mode than is explored");
}

TEST_P(Explored, AnOfferedTaskIsTakenWhereTheDequeHasNoFences) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        co_await offer_many(run);
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
        co_await offer_many(run);
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

}  // namespace
}  // namespace knit::detail
