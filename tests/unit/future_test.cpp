// Futures: settled once, by anybody.

#include "co_test.hpp"

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<> wait_for_it(Future<int> future) { co_await future; }

CO_TEST(Future, IsPendingAtFirstAndKnowsItsLoop) {
    const Future<int> future;
    EXPECT_FALSE(future.done());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(&future.get_loop(), &get_running_loop());
    const Future<> made = get_running_loop().create_future();
    EXPECT_EQ(&made.get_loop(), &get_running_loop());
    co_return;
}

TEST(Future, NeedsARunningLoop) {
    EXPECT_EQ(call_message([] { Future<int>(); }), "!RuntimeError(no running event loop)");
}

CO_TEST(Future, AskedTooEarlyItSaysSo) {
    const Future<int> future;
    EXPECT_TRUE(call_message([&] { future.result(); }).starts_with("!InvalidStateError(Result is not set."));
    EXPECT_TRUE(call_message([&] { future.exception(); }).starts_with("!InvalidStateError(Exception is not set."));
    co_return;
}

CO_TEST(Future, SetResultSettlesItOnce) {
    Future<int> future;
    future.set_result(3);
    EXPECT_TRUE(future.done());
    EXPECT_EQ(future.result(), 3);
    EXPECT_EQ(future.exception(), nullptr);
    EXPECT_EQ(call([&] { future.set_result(4); }), "!InvalidStateError");
    EXPECT_EQ(call([&] { future.set_exception(Err()); }), "!InvalidStateError");
    EXPECT_FALSE(future.cancel());
    EXPECT_EQ(co_await future, 3);
}

CO_TEST(Future, SetExceptionSettlesItOnce) {
    const auto error = std::make_exception_ptr(Err("x"));
    Future<int> future;
    future.set_exception(error);
    EXPECT_EQ(call_message([&] { future.result(); }), "!Err(x)");
    EXPECT_EQ(future.exception(), error);
    EXPECT_EQ(call([&] { future.set_result(1); }), "!InvalidStateError");
    EXPECT_EQ(call([&] { future.set_exception(Err()); }), "!InvalidStateError");
    EXPECT_EQ(co_await got_message(future), "!Err(x)");
}

CO_TEST(Future, TakesAnExceptionObjectButNoNullPointer) {
    Future<int> future;
    EXPECT_EQ(call([&] { future.set_exception(std::exception_ptr()); }), "!ValueError");
    EXPECT_FALSE(future.done());
    future.set_exception(Err2("object"));
    EXPECT_EQ(co_await got_message(future), "!Err2(object)");
}

CO_TEST(Future, CancelSettlesItAsCancelled) {
    Future<int> future;
    EXPECT_TRUE(future.cancel());
    EXPECT_TRUE(future.cancelled());
    EXPECT_TRUE(future.done());
    EXPECT_EQ(call([&] { future.result(); }), "!CancelledError");
    EXPECT_EQ(call([&] { future.exception(); }), "!CancelledError");
    EXPECT_EQ(call([&] { future.set_result(1); }), "!InvalidStateError");
    EXPECT_EQ(call([&] { future.set_exception(Err()); }), "!InvalidStateError");
    EXPECT_FALSE(future.cancel());
    co_return;
}

CO_TEST(Future, CancelCarriesItsMessage) {
    Future<int> future;
    future.cancel("why");
    EXPECT_EQ(co_await got_message(future), "!CancelledError(why)");
    EXPECT_EQ(call_message([&] { future.result(); }), "!CancelledError(why)");
}

CO_TEST(Future, ACancelledErrorThatIsSetIsAnOrdinaryException) {
    Future<int> future;
    future.set_exception(CancelledError("set"));
    EXPECT_TRUE(future.done());
    EXPECT_FALSE(future.cancelled());
    EXPECT_EQ(co_await got_message(future), "!CancelledError(set)");
}

CO_TEST(Future, CallsItsCallbacksLaterInTheOrderOfTheirRegistration) {
    Trace log;
    Future<int> future;
    future.add_done_callback([&](const Future<int>& done) { log("first", done.result()); });
    future.add_done_callback([&] { log("second"); });
    future.set_result(1);
    log("nothing yet");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"nothing yet", "first", "1", "second"}));
}

CO_TEST(Future, ExceptionAndCancelCallThemToo) {
    Trace log;
    Future<int> failed;
    Future<int> cancelled;
    failed.add_done_callback([&](const Future<int>& done) { log("exception", error_text(done.exception())); });
    cancelled.add_done_callback([&](const Future<int>& done) { log("cancelled", done.cancelled()); });
    failed.set_exception(Err());
    cancelled.cancel();
    log("nothing yet");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"nothing yet", "exception", "!Err", "cancelled", "true"}));
}

CO_TEST(Future, ACallbackAddedAfterwardsIsCalledAtTheNextTurn) {
    Trace log;
    Future<int> future;
    future.set_result(1);
    future.add_done_callback([&] { log("callback"); });
    log("added");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"added", "callback"}));
}

CO_TEST(Future, RemovesACallbackByItsId) {
    Trace log;
    Future<int> future;
    const std::uint64_t first = future.add_done_callback([&] { log("a"); });
    const std::uint64_t second = future.add_done_callback([&] { log("b"); });
    EXPECT_NE(first, second);
    EXPECT_EQ(future.done_callback_count(), 2U);
    EXPECT_EQ(future.remove_done_callback(first), 1U);
    EXPECT_EQ(future.remove_done_callback(first), 0U);
    EXPECT_EQ(future.remove_done_callback(first + second + 1000), 0U);
    EXPECT_EQ(future.done_callback_count(), 1U);
    future.set_result(1);
    EXPECT_EQ(future.remove_done_callback(second), 0U);
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"b"}));
}

CO_TEST(Future, RemovedAndUncalledCallbacksAreFreed) {
    const auto shared = std::make_shared<int>(1);
    {
        Future<int> future;
        const std::uint64_t id = future.add_done_callback([shared] {});
        future.add_done_callback([shared] {});
        EXPECT_EQ(shared.use_count(), 3);
        future.remove_done_callback(id);
        EXPECT_EQ(shared.use_count(), 2);
        future.cancel();
        co_await tick(2);
    }
    EXPECT_EQ(shared.use_count(), 1);
}

CO_TEST(Future, CallbacksAndWaitersShareOneOrder) {
    Trace log;
    Future<int> future;
    const auto wait = [&](std::string name) -> Coro<> {
        co_await future;
        log(name);
    };
    future.add_done_callback([&] { log("callback 1"); });
    const Task<> first = create_task(wait("waiter 1"));
    co_await tick();
    future.add_done_callback([&] { log("callback 2"); });
    const Task<> second = create_task(wait("waiter 2"));
    co_await tick();
    future.set_result(1);
    co_await gather(first, second);
    EXPECT_TRUE(log.shows({"callback 1", "waiter 1", "callback 2", "waiter 2"}));
}

CO_TEST(Future, IsCancelledWithATaskThatAwaitsItAndTakesTheOtherAwaitersAlong) {
    Trace log;
    Future<int> future;
    const auto wait = [&](std::string name) -> Coro<> {
        try {
            co_await future;
        } catch (const CancelledError&) {
            log(name + " cancelled");
            throw;
        }
    };
    Task<> first = create_task(wait("a"));
    const Task<> second = create_task(wait("b"));
    co_await tick();
    first.cancel();
    log(future.cancelled());
    co_await got(first);
    co_await got(second);
    log(second.cancelled(), second.cancelling());
    EXPECT_TRUE(log.shows({"true", "a cancelled", "b cancelled", "true", "0"}));
}

CO_TEST(Future, CancellingItEndsAWaitingTaskAsCancelled) {
    Future<int> future;
    const Task<> task = create_task(wait_for_it(future));
    co_await tick();
    future.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(task.cancelled());
    EXPECT_EQ(task.cancelling(), 0);
}

CO_TEST(Future, AProducerLearnsThatItsConsumerHasCancelled) {
    Future<int> future;
    Task<> task = create_task(wait_for_it(future));
    co_await tick();
    task.cancel();
    EXPECT_EQ(call([&] { future.set_result(1); }), "!InvalidStateError");
    EXPECT_EQ(co_await got(task), "!CancelledError");
}

CO_TEST_ON_LOOPS(Future, CanBeSettledByAnotherThread) {
    Future<std::string> future;
    std::thread thread([future]() mutable { future.set_result("from a thread"); });
    EXPECT_EQ(co_await future, "from a thread");
    thread.join();
    Future<int> failing;
    std::thread failer([failing]() mutable { failing.set_exception(Err("thread")); });
    EXPECT_EQ(co_await got_message(failing), "!Err(thread)");
    failer.join();
    Future<int> cancelled;
    std::thread canceller([cancelled]() mutable { cancelled.cancel("thread"); });
    EXPECT_EQ(co_await got_message(cancelled), "!CancelledError(thread)");
    canceller.join();
}

CO_TEST(Future, OfTwoThreadsThatSettleItOneWins) {
    for (int round = 0; round < 50; ++round) {
        Future<int> future;
        std::string first;
        std::string second;
        std::thread one([&first, future]() mutable { first = call([&] { future.set_result(1); }); });
        std::thread two([&second, future]() mutable { second = call([&] { future.set_result(2); }); });
        const int value = co_await future;
        one.join();
        two.join();
        EXPECT_EQ(first, value == 1 ? "void" : "!InvalidStateError");
        EXPECT_EQ(second, value == 2 ? "void" : "!InvalidStateError");
    }
}

CO_TEST_ON_LOOPS(Future, IsAwaitedAndSettledAcrossLoops) {
    Future<int> future;
    Runtime& runtime = get_runtime();
    std::vector<Task<int>> waiters;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        const auto wait = [](Future<int> awaited, Loop& loop) -> Coro<int> {
            const int value = co_await awaited;
            EXPECT_EQ(&get_running_loop(), &loop);
            co_return value;
        };
        waiters.push_back(create_task(wait(future, runtime.loop(index)), {.loop = &runtime.loop(index)}));
    }
    co_await tick(5);
    const auto set = [](Future<int> awaited) -> Coro<> {
        awaited.set_result(8);
        co_return;
    };
    const Task<> setter = create_task(set(future), {.loop = &runtime.loop(runtime.size() - 1)});
    co_await setter;
    for (const Task<int>& waiter : waiters) {
        EXPECT_EQ(co_await waiter, 8);
    }
}

CO_TEST_ON_LOOPS(Future, CallbacksRunOnItsOwnLoop) {
    Runtime& runtime = get_runtime();
    Future<int> future;
    Future<> called;
    Loop* where = nullptr;
    Loop& last = runtime.loop(runtime.size() - 1);
    const auto add = [&]() -> Coro<> {
        future.add_done_callback([&] {
            where = &get_running_loop();
            called.set_result();
        });
        co_return;
    };
    const Task<> adder = create_task(add(), {.loop = &last});
    co_await adder;
    future.set_result(1);
    co_await called;
    EXPECT_EQ(where, &future.get_loop());
    EXPECT_EQ(where, &runtime.loop(0));
}

CO_TEST(Future, HoldsMoveOnlyValuesAndVoid) {
    Future<std::unique_ptr<int>> future;
    future.set_result(std::make_unique<int>(2));
    EXPECT_EQ(*future.result(), 2);
    const std::unique_ptr<int> value = co_await future;
    EXPECT_EQ(*value, 2);
    EXPECT_EQ(co_await got(future), "!InvalidStateError");
    Future<> nothing;
    nothing.set_result();
    co_await nothing;
    nothing.result();
}

TEST(Future, OutlivesItsRuntime) {
    std::vector<Future<int>> futures;
    run_one([&]() -> Coro<> {
        futures = {Future<int>(), Future<int>()};
        futures[0].set_result(6);
        co_return;
    });
    EXPECT_EQ(futures[0].result(), 6);
    EXPECT_FALSE(futures[1].done());
    EXPECT_TRUE(futures[1].get_loop().is_closed());
    futures[1].set_result(7);  // nobody waits any more; the value is there
    EXPECT_EQ(futures[1].result(), 7);
}

}  // namespace
}  // namespace knit::test
