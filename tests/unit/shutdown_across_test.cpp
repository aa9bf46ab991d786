// The end of run() where tasks of one loop await those of another: each is asked to end once, in whatever order the
// loops ask theirs, so that no cleanup is broken off.

#include "time_test.hpp"

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

namespace knit::test {
namespace {

Coro<> wait_for_ever() { co_await sleep(kForever); }
Coro<> wait_for_task(Task<> task) { co_await task; }

/// Ends by its second cancellation, or after cleanup that takes a while.
Coro<> clean_up(Trace& log) {
    EXPECT_EQ(co_await got(wait_for_ever()), "!CancelledError");
    log("cleanup: " + co_await got(sleep(20ms)));
}

/// `make` makes tasks that clean up `count` times, on whatever loops; run() then ends, for many seeds.
template <class F>
void expect_cleanup_in_full(std::size_t count, F make) {
    const std::uint64_t seed_before = testing::seed();
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        testing::set_seed(seed);
        Trace log;
        run([&]() -> Coro<> {
            make(log);
            co_await sleep(5ms);
        }, on_loops(3));
        EXPECT_TRUE(log.shows(std::vector<std::string>(count, "cleanup: void")));
    }
    testing::set_seed(seed_before);
}

/// The loop of the one that waits, and of the one that it waits for.
struct Places {
    unsigned waiting;
    unsigned awaited;
};
constexpr std::initializer_list<Places> kPlaces = {{0, 1}, {1, 0}, {1, 2}, {2, 1}};

Loop& loop(unsigned index) { return get_runtime().loop(index); }

TEST(ShutdownAcross, ATaskThatAnotherLoopAwaitsIsAskedOnce) {
    for (const Places places : kPlaces) {
        expect_cleanup_in_full(1, [places](Trace& log) {
            Task<> task = loop(places.awaited).create_task(clean_up(log));
            loop(places.waiting).create_task(wait_for_task(task));
        });
    }
}

TEST(ShutdownAcross, AChainOfTasksThatAnotherLoopAwaitsIsAskedOnce) {
    for (const Places places : kPlaces) {
        expect_cleanup_in_full(1, [places](Trace& log) {
            Loop& there = loop(places.awaited);
            Task<> task = there.create_task(wait_for_task(there.create_task(clean_up(log))));
            loop(places.waiting).create_task(wait_for_task(task));
        });
    }
}

TEST(ShutdownAcross, TheChildrenOfAGatherAreAskedOnce) {
    for (const Places places : kPlaces) {
        expect_cleanup_in_full(2, [places](Trace& log) {
            Task<> first = loop(places.awaited).create_task(clean_up(log));
            Task<> second = loop(places.awaited).create_task(clean_up(log));
            loop(places.waiting).create_task([first, second]() -> Coro<> { co_await gather(first, second); });
        });
    }
}

/// The task that gathers is asked by another loop, and its children by it.
TEST(ShutdownAcross, TheChildrenOfAGatherThatAnotherLoopAwaitsAreAskedOnce) {
    for (const Places places : kPlaces) {
        expect_cleanup_in_full(2, [places](Trace& log) {
            Task<> task = loop(places.awaited).create_task([&log]() -> Coro<> {
                Task<> first = create_task(clean_up(log));
                Task<> second = create_task(clean_up(log));
                co_await gather(first, second);
            });
            loop(places.waiting).create_task(wait_for_task(task));
        });
    }
}

/// The same by a message to the gather itself, which is no task.
TEST(ShutdownAcross, TheChildrenOfAGatherHandleThatAnotherLoopAwaitsAreAskedOnce) {
    for (const Places places : kPlaces) {
        expect_cleanup_in_full(2, [places](Trace& log) {
            loop(places.awaited).create_task([&log, places]() -> Coro<> {
                Task<> first = create_task(clean_up(log));
                Task<> second = create_task(clean_up(log));
                const auto both = gather(first, second);
                const Future<std::tuple<Unit, Unit>> future = both.future();
                loop(places.waiting).create_task([future]() -> Coro<> { co_await future; });
                co_await wait_for_ever();
            });
        });
    }
}

/// The request of its awaiter comes to a task that has been asked: it is left to the awaiter.
TEST(ShutdownAcross, WhoAwaitsATaskThatCleansUpIsCancelledAtThatAwait) {
    for (const Places places : {Places{0, 1}, Places{1, 0}}) {
        std::string seen;
        expect_cleanup_in_full(1, [places, &seen](Trace& log) {
            Task<> task = loop(places.awaited).create_task(clean_up(log));
            seen.clear();
            loop(places.waiting).create_task([task, &seen]() -> Coro<> {
                Coro<std::string> outcome = got(task);
                seen = co_await std::move(outcome);
            });
        });
        EXPECT_EQ(seen, "!CancelledError");
    }
}

/// Ends by no cancellation.
Coro<> await_stubbornly(Future<int> last) {
    EXPECT_EQ(co_await got(wait_for_ever()), "!CancelledError");
    static_cast<void>(co_await got(last));
    co_await wait_for_ever();
}

RunOptions with_grace() {
    RunOptions options = on_loops(2);
    options.grace = 10ms;
    return options;
}

/// The loop has been stopped, and its tasks are abandoned, when a request to one of them arrives.
TEST(ShutdownAcross, ARequestThatFindsItsLoopClosedTouchesNothing) {
    const LogCapture capture;
    std::optional<Future<int>> last;
    Task<> task;
    run([&]() -> Coro<> {
        last.emplace();
        task = loop(1).create_task(await_stubbornly(*last));
        co_await sleep(1ms);
        // In the turn in which the grace period ends.
        get_running_loop().call_later(10ms, [task]() mutable { EXPECT_TRUE(task.cancel()); });
    }, with_grace());
    EXPECT_TRUE(capture.has(LogLevel::error, "are abandoned"));
    EXPECT_FALSE(last->done());
}

/// It looks for its parent, which offers itself to all loops when they close: that ends.
TEST(ShutdownAcross, AGroupThatCancelsAnAbandonedParentDoesNotHoldTheLoop) {
    if (KNIT_ASAN) {
        GTEST_SKIP() << "what a task leaves that is abandoned is leaked on purpose";
    }
    const LogCapture capture;
    const std::uint64_t seed_before = testing::seed();
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        testing::set_seed(seed);
        TaskGroup* group = nullptr;
        run([&]() -> Coro<> {
            create_task([&group]() -> Coro<> {
                co_await TaskGroup::run([&group](TaskGroup& own) -> Coro<> {
                    group = &own;
                    for (;;) {
                        testing::pass_time(1ms);
                        static_cast<void>(co_await got(reschedule()));
                    }
                });
            });
            co_await tick(3);
            get_running_loop().call_later(10ms, [&group] { group->cancel(); });
        }, with_grace());
    }
    testing::set_seed(seed_before);
    EXPECT_TRUE(capture.has(LogLevel::error, "are abandoned"));
}

}  // namespace
}  // namespace knit::test
