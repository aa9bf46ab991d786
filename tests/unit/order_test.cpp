// How many turns things take: CPython's numbers, on one loop.

#include "co_test.hpp"

#include <utility>

namespace knit::test {
namespace {

Coro<> await_future(Future<> future) { co_await future; }
Coro<> await_task(Task<> task) { co_await task; }

CO_TEST(Order, AWaiterResumesOneTurnAfterItsFutureIsSettled) {
    Future<> future;
    const Task<> task = create_task(await_future(future));
    co_await tick();
    future.set_result();
    EXPECT_EQ(co_await turns_until_done(task), 1);
}

CO_TEST(Order, AwaitingATaskAddsOneTurn) {
    Future<> future;
    const Task<> child = create_task(await_future(future));
    const Task<> parent = create_task(await_task(child));
    co_await tick();
    future.set_result();
    EXPECT_EQ(co_await turns_until_done(parent), 2);
}

CO_TEST(Order, GatherAddsOneTurnMore) {
    Future<> future;
    const Task<> task = create_task([&]() -> Coro<> { co_await gather(await_future(future), await_future(future)); });
    co_await tick(2);
    future.set_result();
    EXPECT_EQ(co_await turns_until_done(task), 3);
}

CO_TEST(Order, AGatherHandleTakesAsManyTurnsAsAnAwaitedOne) {
    Future<> future;
    auto handle = gather(await_future(future), await_future(future));
    EXPECT_FALSE(handle.done());
    co_await tick();
    future.set_result();
    int turns = 0;
    for (; !handle.done(); ++turns) {
        co_await sleep(0s);
    }
    EXPECT_EQ(turns, 2);
}

CO_TEST(Order, CancellationTakesOneTurnForEachTask) {
    const Task<> child = create_task(sleep(1h));
    Task<> parent = create_task(await_task(child));
    co_await tick(2);
    parent.cancel();
    EXPECT_EQ(co_await turns_until_done(parent), 2);
}

CO_TEST(Order, CallbacksAndFirstStepsShareOneQueue) {
    Trace log;
    const auto body = [&](int number) -> Coro<> {
        log(number);
        co_return;
    };
    get_running_loop().call_soon([&] { log(1); });
    create_task(body(2));
    get_running_loop().call_soon([&] { log(3); });
    create_task(body(4));
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"1", "2", "3", "4"}));
}

}  // namespace
}  // namespace knit::test
