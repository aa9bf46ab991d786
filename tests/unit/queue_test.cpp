// Queue: putting, getting, waiting, join.
#include "co_test.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

const std::string kEmpty = "!exception(QueueEmpty)";
const std::string kFull = "!exception(QueueFull)";

Coro<> get_named(Queue<int>& queue, Trace& log, std::string name) {
    const int item = co_await queue.get();
    log(name + std::to_string(item));
}

CO_TEST(Queue, HoldsWhatWasPutInItsOrder) {
    Queue<int> queue(3);
    EXPECT_TRUE(queue.empty());
    EXPECT_FALSE(queue.full());
    EXPECT_EQ(queue.maxsize(), 3U);
    for (int item = 1; item <= 3; ++item) {
        co_await queue.put(item);
        EXPECT_EQ(queue.qsize(), static_cast<std::size_t>(item));
    }
    EXPECT_TRUE(queue.full());
    for (int item = 1; item <= 3; ++item) {
        EXPECT_EQ(co_await queue.get(), item);
    }
    EXPECT_TRUE(queue.empty());
}

TEST(Queue, WithoutMaxsizeIsNeverFull) {
    Queue<int> queue;
    for (int item = 0; item < 1000; ++item) {
        queue.put_nowait(item);
        if (item % 3 == 0) {
            EXPECT_EQ(queue.get_nowait(), item / 3);
        }
    }
    EXPECT_FALSE(queue.full());
    EXPECT_EQ(queue.maxsize(), 0U);
    EXPECT_EQ(queue.qsize(), 1000U - 334U);
}

// QUEUE-02
CO_TEST(Queue, PutWaitsUntilThereIsRoom) {
    Queue<int> queue(2);
    std::vector<int> done;
    const auto putter = [&]() -> Coro<> {
        for (int item = 0; item < 3; ++item) {
            co_await queue.put(item);
            done.push_back(item);
        }
    };
    const Task<> task = create_task(putter());
    co_await tick(2);
    EXPECT_EQ(done, (std::vector<int>{0, 1}));
    EXPECT_EQ(co_await queue.get(), 0);
    co_await sleep(0s);
    EXPECT_EQ(done, (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(queue.qsize(), 2U);
    co_await task;
}

// QUEUE-04
TEST(Queue, NowaitThrowsWhereItWouldWait) {
    Queue<int> queue(1);
    EXPECT_THROW(queue.get_nowait(), QueueEmpty);
    queue.put_nowait(1);
    EXPECT_THROW(queue.put_nowait(2), QueueFull);
    EXPECT_EQ(queue.qsize(), 1U);
    EXPECT_EQ(queue.get_nowait(), 1);
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kEmpty);
}

// QUEUE-05
CO_TEST(Queue, PutWithRoomAndGetWithItemsDoNotSuspend) {
    Trace log;
    Queue<int> queue;
    get_running_loop().call_soon([&] { log("loop ran"); });
    co_await queue.put(1);
    log(co_await queue.get());
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"1", "loop ran"}));
}

// QUEUE-06
CO_TEST(Queue, GettersAreServedInTheOrderOfAsking) {
    Trace log;
    Queue<int> queue;
    const Task<> a = create_task(get_named(queue, log, "a"));
    const Task<> b = create_task(get_named(queue, log, "b"));
    const Task<> c = create_task(get_named(queue, log, "c"));
    co_await tick();
    for (int item = 0; item < 3; ++item) {
        queue.put_nowait(item);
    }
    co_await gather(a, b, c);
    EXPECT_TRUE(log.shows({"a0", "b1", "c2"}));
}

CO_TEST(Queue, PuttersAreServedInTheOrderOfAsking) {
    Queue<int> queue(1);
    std::vector<Task<>> putters;
    for (int item = 0; item < 5; ++item) {
        putters.push_back(create_task(queue.put(item)));
    }
    co_await tick();
    for (int item = 0; item < 5; ++item) {
        EXPECT_EQ(co_await queue.get(), item);
        co_await tick();
    }
    co_await gather(putters);
    EXPECT_TRUE(queue.empty());
}

// QUEUE-07: asyncio lets the item be taken away; here it is kept for the getter that was woken.
CO_TEST(Queue, AWokenGetterIsNotOvertaken) {
    Trace log;
    Queue<int> queue;
    const Task<> a = create_task(get_named(queue, log, "a"));
    co_await tick();
    queue.put_nowait(1);
    EXPECT_EQ(queue.qsize(), 1U);
    EXPECT_FALSE(queue.empty());
    log(call_message([&] { queue.get_nowait(); }));
    queue.put_nowait(2);
    log(queue.get_nowait());
    co_await a;
    EXPECT_TRUE(log.shows({kEmpty, "1", "a2"}));  // what is kept is an item, not that very one: as in asyncio
    EXPECT_TRUE(queue.empty());
}

CO_TEST(Queue, AGetterThatComesLaterWaitsBehindTheWokenOne) {
    Trace log;
    Queue<int> queue;
    const Task<> a = create_task(get_named(queue, log, "a"));
    co_await tick();
    queue.put_nowait(1);
    const Task<> b = create_task(get_named(queue, log, "b"));
    co_await tick(3);
    EXPECT_FALSE(b.done());
    queue.put_nowait(2);
    co_await b;
    EXPECT_TRUE(log.shows({"a1", "b2"}));
}

CO_TEST(Queue, AWokenPutterIsNotOvertaken) {
    Queue<int> queue(1);
    queue.put_nowait(1);
    const Task<> putter = create_task(queue.put(2));
    co_await tick();
    EXPECT_EQ(queue.get_nowait(), 1);
    EXPECT_FALSE(queue.full());
    EXPECT_EQ(queue.qsize(), 0U);
    EXPECT_EQ(call_message([&] { queue.put_nowait(3); }), kFull);
    co_await putter;
    EXPECT_EQ(queue.get_nowait(), 2);
    queue.put_nowait(3);
    EXPECT_EQ(queue.get_nowait(), 3);
}

// QUEUE-16
CO_TEST(Queue, OfSizeOneLetsProducerAndConsumerComeToTheEnd) {
    Queue<int> queue(1);
    std::vector<int> out;
    const auto producer = [&]() -> Coro<> {
        for (int item = 0; item < 100; ++item) {
            co_await queue.put(item);
        }
    };
    const auto consumer = [&]() -> Coro<> {
        for (int item = 0; item < 100; ++item) {
            out.push_back(co_await queue.get());
        }
    };
    co_await gather(producer(), consumer());
    for (int item = 0; item < 100; ++item) {
        EXPECT_EQ(out[static_cast<std::size_t>(item)], item);
    }
}

// ORDER-08
CO_TEST(Queue, PutNowaitAndGetNowaitResumeTheirWaiterInTheNextTurn) {
    Queue<int> queue(1);
    Task<int> getter = create_task(queue.get());
    co_await tick(2);
    queue.put_nowait(1);
    EXPECT_EQ(co_await turns_until_done(getter), 1);
    queue.put_nowait(1);
    Task<> putter = create_task(queue.put(2));
    co_await tick(2);
    queue.get_nowait();
    EXPECT_EQ(co_await turns_until_done(putter), 1);
}

CO_TEST(Queue, WakesInTurnWithWhatElseIsReady) {
    Trace log;
    Queue<int> queue;
    const Task<> a = create_task(get_named(queue, log, "a"));
    const Task<> b = create_task(get_named(queue, log, "b"));
    co_await tick();
    Loop& loop = get_running_loop();
    loop.call_soon([&] { log("before"); });
    queue.put_nowait(1);
    loop.call_soon([&] { log("between"); });
    queue.put_nowait(2);
    loop.call_soon([&] { log("after"); });
    co_await gather(a, b);
    EXPECT_TRUE(log.shows({"before", "a1", "between", "b2", "after"}));
}

// The awaitables of a queue are what any awaitable is.
CO_TEST(Queue, ItsOperationsMayBeTasksAndChildrenOfAGather) {
    Queue<std::unique_ptr<int>> queue(1);
    auto putting = queue.put(std::make_unique<int>(7));
    const auto [got_first, unit] = co_await gather(queue.get(), std::move(putting));
    EXPECT_EQ(*got_first, 7);
    EXPECT_EQ(unit, Unit{});
    Task<std::unique_ptr<int>> getter = create_task(queue.get());
    co_await queue.put(std::make_unique<int>(8));
    EXPECT_EQ(*co_await std::move(getter), 8);
    queue.task_done();
    queue.task_done();
    co_await create_task(queue.join());
}

CO_TEST(Queue, AnAwaitableDoesNothingUntilItIsAwaited) {
    Queue<int> queue;
    auto get = queue.get();
    auto put = queue.put(1);
    EXPECT_TRUE(queue.empty());
    co_await std::move(put);
    EXPECT_EQ(queue.qsize(), 1U);
    EXPECT_EQ(co_await std::move(get), 1);
}

TEST(Queue, TaskDoneTooOftenIsAnError) {
    Queue<int> queue;
    EXPECT_EQ(call_message([&] { queue.task_done(); }), "!ValueError(task_done() called too many times)");
    queue.put_nowait(1);
    queue.put_nowait(2);
    queue.task_done();
    queue.get_nowait();
    queue.task_done();
    EXPECT_EQ(call_message([&] { queue.task_done(); }), "!ValueError(task_done() called too many times)");
    queue.put_nowait(3);
    queue.task_done();
    EXPECT_THROW(queue.task_done(), ValueError);
}

CO_TEST(Queue, JoinOfAQueueWithNothingUnfinishedDoesNotSuspend) {
    Trace log;
    Queue<int> queue;
    get_running_loop().call_soon([&] { log("loop ran"); });
    co_await queue.join();
    queue.put_nowait(1);
    queue.get_nowait();
    queue.task_done();
    co_await queue.join();
    log("joined");
    co_await tick();
    EXPECT_TRUE(log.shows({"joined", "loop ran"}));
}

CO_TEST(Queue, JoinWaitsForTaskDoneOfEachItem) {
    Trace log;
    Queue<int> queue;
    const auto worker = [&]() -> Coro<> {
        for (;;) {
            const int item = co_await queue.get();
            log(item);
            co_await tick();
            queue.task_done();
        }
    };
    Task<> first = create_task(worker());
    Task<> second = create_task(worker());
    for (int item = 0; item < 5; ++item) {
        queue.put_nowait(item);
    }
    co_await queue.join();
    log("joined");
    EXPECT_TRUE(log.shows({"0", "1", "2", "3", "4", "joined"}));
    first.cancel();
    second.cancel();
    co_await gather(return_exceptions, first, second);
}

CO_TEST(Queue, JoinOfSeveralEndsInTheNextTurnAndInTheirOrder) {
    Trace log;
    Queue<int> queue;
    queue.put_nowait(1);
    const auto joiner = [&](int which) -> Coro<> {
        co_await queue.join();
        log(which);
    };
    const Task<> a = create_task(joiner(1));
    const Task<> b = create_task(joiner(2));
    co_await tick();
    queue.task_done();
    queue.put_nowait(2);  // too late to hold them
    get_running_loop().call_soon([&] { log("later"); });
    co_await gather(a, b);
    EXPECT_TRUE(log.shows({"1", "2", "later"}));
    queue.task_done();
}

}  // namespace
}  // namespace knit::test
