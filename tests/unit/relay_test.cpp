// Waits for what another loop keeps, and that are given up: nothing of them stays with what was awaited.

#include "time_test.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Loop& other_loop() { return get_runtime().loop(1); }

Coro<> wait_in_vain(Future<int> future, int times) {
    const std::vector<Future<int>> futures = listed(future);
    for (int count = 0; count < times; ++count) {
        const auto [done, pending] = co_await wait(futures, {.timeout = 0s});
        EXPECT_TRUE(done.empty());
    }
}

TEST(Relay, WaitsThatWereGivenUpLeaveNothingBehind) {
    on_two_loops([]() -> Coro<> {
        const Future<int> future;
        co_await create_task(wait_in_vain(future, 100), {.loop = &other_loop()});
        co_await sleep(1ms);
        EXPECT_EQ(future.ref()->waiter_count(), 0U);
        EXPECT_TRUE(future.ref()->is_sole_reference());
    });
}

TEST(Relay, ThoseThatStillWaitAreTold) {
    on_two_loops([]() -> Coro<> {
        Future<int> future;
        Task<int> first = create_task(as_coro(future), {.loop = &other_loop()});
        co_await create_task(wait_in_vain(future, 3), {.loop = &other_loop()});
        Task<int> second = create_task(as_coro(future), {.loop = &other_loop()});
        co_await sleep(1ms);
        EXPECT_EQ(future.ref()->waiter_count(), 2U);
        future.set_result(7);
        EXPECT_EQ(co_await first, 7);
        EXPECT_EQ(co_await second, 7);
    });
}

/// The recall and the news of the result meet, on the way or at either end.
TEST(Relay, IsGivenUpWhileTheResultIsOnItsWay) {
    on_two_loops([]() -> Coro<> {
        std::vector<Task<>> waits;
        std::vector<Future<int>> futures(20);
        for (std::size_t index = 0; index < futures.size(); ++index) {
            const Future<int>& future = futures[index];
            waits.push_back(create_task([future, index]() -> Coro<> {
                const std::vector<Future<int>> awaited = listed(future);
                for (std::size_t turn = 0; turn < index; ++turn) {
                    co_await yield();
                }
                while (!future.done()) {
                    co_await wait(awaited, {.timeout = 0s});
                }
            }, {.loop = &other_loop()}));
        }
        co_await tick(3);
        for (Future<int>& future : futures) {
            future.set_result(1);
            co_await yield();
        }
        for (Task<>& each : waits) {
            co_await each;
        }
        co_await sleep(1ms);
        for (const Future<int>& future : futures) {
            EXPECT_EQ(future.ref()->waiter_count(), 0U);
        }
    });
}

/// The end of the run gives up what is awaited, and closes the loops one after the other.
TEST(Relay, IsGivenUpByTheEndOfTheRun) {
    for (const bool is_kept_by_other : {false, true}) {
        std::vector<Future<int>> futures;
        on_two_loops([&futures, is_kept_by_other]() -> Coro<> {
            Loop& keeper = get_runtime().loop(is_kept_by_other ? 1 : 0);
            Loop& waiting = get_runtime().loop(is_kept_by_other ? 0 : 1);
            futures = co_await keeper.create_task([]() -> Coro<std::vector<Future<int>>> {
                co_return std::vector<Future<int>>(3);
            });
            for (const Future<int>& future : futures) {
                waiting.create_task(wait_in_vain(future, 1));
                waiting.create_task([future]() -> Coro<> { co_await wait(listed(future)); });
            }
            co_await yield();
        });
        for (const Future<int>& future : futures) {
            EXPECT_EQ(future.ref()->waiter_count(), 0U);
            EXPECT_TRUE(future.ref()->is_sole_reference());
        }
    }
}

}  // namespace
}  // namespace knit::test
