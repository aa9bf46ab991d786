// What the end of run() does to tasks in numbers, and to cleanup that makes tasks of its own.

#include "co_test.hpp"

namespace knit::test {
namespace {

Coro<> wait_for_ever() { co_await sleep(kForever); }
Coro<> wait_for_task(Task<> task) { co_await task; }
Coro<> wait_for_predecessor(Task<> task) {
    if (task) {
        co_await task;
    }
}

TEST(Shutdown, CleanupMayGatherTasksOfItsOwn) {
    for (const unsigned loops : {1U, 3U}) {
        Trace log;
        run([&]() -> Coro<> {
            create_task([&]() -> Coro<> {
                const Result<> ended = co_await as_result(sleep(kForever));
                EXPECT_FALSE(ended.has_value());
                const auto [a, b] = co_await gather(sleep(1ms, 1), spawn(sleep(1ms, 2)));
                log(a + b);
            });
            co_await sleep(0s);
        }, {.loops = loops});
        EXPECT_TRUE(log.shows({"3"}));
    }
}

// On a small stack each of these overflowed as long as one task's step went down to the next by recursion.
constexpr int kChain = 20'000;

TEST(Shutdown, ALongChainOfTasksThatAwaitEachOtherEnds) {
    run([]() -> Coro<> {
        Task<> last = create_task(wait_for_ever());
        for (int i = 0; i < kChain; ++i) {
            last = create_task(wait_for_task(last));
        }
        co_await sleep(0s);
        co_await sleep(0s);
    }, {.loops = 1});
}

TEST(Shutdown, ALongChainOfTasksThatAwaitEachOtherIsCancelledByOneCancel) {
    run([]() -> Coro<> {
        Task<> first = create_task(wait_for_ever());
        Task<> last = first;
        for (int i = 0; i < kChain; ++i) {
            last = create_task(wait_for_task(last));
        }
        co_await sleep(0s);
        last.cancel();
        const Result<> ended = co_await as_result(last);
        EXPECT_FALSE(ended.has_value());
        EXPECT_TRUE(first.cancelled());
    }, {.loops = 1});
}

TEST(Shutdown, ASecondCancelOfAnAwaiterReachesWhatItAwaits) {
    run([]() -> Coro<> {
        Task<> stubborn = create_task([]() -> Coro<> {
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());  // another request ends this
        });
        Task<> awaiter = create_task(wait_for_task(stubborn));
        create_task([awaiter]() mutable -> Coro<> {
            EXPECT_FALSE((co_await as_result(sleep(kForever))).has_value());
            co_await sleep(1ms);
            awaiter.cancel();
        });
        co_await sleep(0s);
        co_await sleep(0s);
    }, {.loops = 1});
}

TEST(Shutdown, ALongChainOfHandlesIsDroppedWithoutRecursion) {
    Task<> last;
    run([&]() -> Coro<> {
        for (int i = 0; i < kChain * 5; ++i) {
            last = create_task(wait_for_predecessor(last));
            co_await last;
        }
    }, {.loops = 1});
    last = Task<>();
    EXPECT_FALSE(last);
}

}  // namespace
}  // namespace knit::test
