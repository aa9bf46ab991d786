// Cancellation that meets, on its way to another loop, the end of what it was sent to.

#include "time_test.hpp"

#include <string>
#include <utility>

namespace knit::test {
namespace {

/// `awaited` ends while a cancellation of its awaiter on another loop is on its way to it.
template <class T>
Coro<> cancel_meets_end(Future<T> awaited, Future<int> source) {
    Loop& other = get_runtime().loop(1);
    Task<std::string> awaiter = create_task([awaited]() -> Coro<std::string> {
        const Result<T> first = co_await as_result(awaited);
        if (!first.has_value()) {
            co_return "at once";
        }
        // The deadline comes at the same time as what is still on its way, and must not pass for it.
        const std::string second = co_await outcome(
            timeout_scope_at(TimePoint(), [](Timeout&) -> Coro<> { co_await sleep(kForever); }));
        if (second == "!CancelledError") {
            co_return "at the next await";
        }
        EXPECT_EQ(second, "!TimeoutError");
        const Result<> third = co_await as_result(sleep(kForever));
        co_return third.has_value() ? "lost" : "after that";
    }, {.loop = &other});
    while (awaited.ref()->waiter_count() == 0) {
        co_await yield();
    }
    bool is_cancelled = false;
    other.call_soon_threadsafe([&] {
        EXPECT_TRUE(awaiter.cancel());
        is_cancelled = true;
    });
    while (!is_cancelled) {
        co_await yield();
    }
    if (!source.done()) {
        source.set_result(1);
    }
    EXPECT_NE(co_await awaiter, "lost");
}

TEST(CancelAcross, OfATaskThatAwaitsAGatherOfAnotherLoopIsNotLost) {
    on_two_loops([]() -> Coro<> {
        const Future<int> source;
        const auto children = gather(source);
        co_await cancel_meets_end(children.future(), source);
    });
}

TEST(CancelAcross, OfATaskThatAwaitsATaskOfAnotherLoopIsNotLost) {
    on_two_loops([]() -> Coro<> {
        const Future<int> source;
        const Task<int> task = create_task(as_coro(source));
        co_await tick(2);
        co_await cancel_meets_end(Future<int>(task), source);
    });
}

TEST(CancelAcross, OfATaskThatAwaitsAFutureOfAnotherLoopIsNotLost) {
    on_two_loops([]() -> Coro<> {
        const Future<int> source;
        co_await cancel_meets_end(source, source);
    });
}

// A gather handle awaited on another loop: its children are cancelled there, as on its own loop.
TEST(CancelAcross, ReachesTheChildrenOfAGatherOfAnotherLoop) {
    on_two_loops([]() -> Coro<> {
        const Task<> child = create_task(sleep(kForever));
        const auto children = gather(child);
        const Future<std::tuple<Unit>> future = children.future();
        Task<> awaiter = create_task([future]() -> Coro<> { co_await future; }, {.loop = &get_runtime().loop(1)});
        while (future.ref()->waiter_count() == 0) {
            co_await yield();
        }
        awaiter.cancel();
        EXPECT_EQ(co_await got(awaiter), "!CancelledError");
        EXPECT_TRUE(child.cancelled());
    });
}

/// The error of what was awaited is not what that await gives, and no news to anybody.
TEST(CancelAcross, OfATaskThatAwaitsAFailureIsTheOnlyOneThatShows) {
    for (const int turns : {0, 1, 2, 3}) {
        Trace log;
        on_two_loops([&log, turns]() -> Coro<> {
            on_error(log);
            Loop& other = get_runtime().loop(1);
            Future<> source;
            Task<> failing = create_task([source]() -> Coro<> {
                co_await source;
                throw Err("x");
            });
            Task<> awaiter = create_task([failing]() -> Coro<> { co_await failing; }, {.loop = &other});
            while (failing.ref()->waiter_count() == 0) {
                co_await yield();
            }
            other.call_soon_threadsafe([awaiter]() mutable { awaiter.cancel(); });
            co_await tick(turns);
            if (!source.done()) {
                source.set_result();
            }
            EXPECT_NE(co_await got(awaiter), "void");
            awaiter = Task<>();
            failing = Task<>();
            co_await tick(3);
        });
        EXPECT_TRUE(log.shows({}));
    }
}

/// As those to a task that is on its loop already, or to CPython's.
CO_TEST_ON_LOOPS(CancelAcross, RequestsToATaskThatNobodyHasBegunComeInTheirOrder) {
    Task<> created = create_task(sleep(kForever));
    created.cancel("first");
    created.cancel("second");
    EXPECT_EQ(co_await got_message(created), "!CancelledError(second)");
    Task<> spawned = spawn(sleep(kForever));
    spawned.cancel("first");
    spawned.cancel("second");
    EXPECT_EQ(co_await got_message(spawned), "!CancelledError(second)");
}

}  // namespace
}  // namespace knit::test
