// Queue: cancelled getters, putters and joiners, before and after they are woken.
#include "co_test.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

const std::string kEmpty = "!exception(QueueEmpty)";
const std::string kFull = "!exception(QueueFull)";
const std::string kCancelled = "!CancelledError";

template <class T>
Coro<> get_into(Queue<T>& queue, std::vector<T>& got) {
    got.push_back(co_await queue.get());
}

// QUEUE-08
CO_TEST(QueueCancel, ACancelledGetterIsSkipped) {
    Queue<std::string> queue;
    Task<std::string> a = create_task(queue.get());
    Task<std::string> b = create_task(queue.get());
    co_await tick();
    a.cancel();
    co_await tick();
    co_await queue.put("x");
    EXPECT_TRUE(a.cancelled());
    EXPECT_EQ(co_await b, "x");
}

// QUEUE-09
CO_TEST(QueueCancel, AGetterCancelledAfterItWasWokenLosesNothing) {
    Queue<int> queue;
    Task<int> a = create_task(queue.get());
    co_await tick();
    queue.put_nowait(1);
    queue.put_nowait(2);
    a.cancel();
    EXPECT_EQ(co_await got(a), kCancelled);
    EXPECT_EQ(queue.qsize(), 2U);
    EXPECT_EQ(co_await queue.get(), 1);
    EXPECT_EQ(co_await queue.get(), 2);
}

// QUEUE-10
CO_TEST(QueueCancel, AGetterCancelledAfterItWasWokenPassesTheItemOn) {
    Queue<int> queue;
    Task<int> a = create_task(queue.get());
    Task<int> b = create_task(queue.get());
    Task<int> c = create_task(queue.get());
    co_await tick();
    queue.put_nowait(1);
    queue.put_nowait(2);
    a.cancel();
    EXPECT_EQ(co_await got(a), kCancelled);
    const int sum = co_await b + co_await c;
    EXPECT_EQ(sum, 3);
}

CO_TEST(QueueCancel, AllWokenGettersCancelledGiveAllItemsBack) {
    Queue<int> queue;
    std::vector<Task<int>> getters;
    for (int i = 0; i < 4; ++i) {
        getters.push_back(create_task(queue.get()));
    }
    co_await tick();
    for (int item = 0; item < 4; ++item) {
        queue.put_nowait(item);
    }
    for (Task<int>& getter : getters) {
        getter.cancel();
    }
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kEmpty);
    co_await gather(return_exceptions, getters);
    for (int item = 0; item < 4; ++item) {
        EXPECT_EQ(queue.get_nowait(), item);
    }
}

// QUEUE-11
CO_TEST(QueueCancel, ACancelledPutterIsSkipped) {
    Queue<std::string> queue(1);
    Task<> a = create_task(queue.put("a"));
    Task<> b = create_task(queue.put("X"));
    Task<> c = create_task(queue.put("c"));
    co_await tick();
    b.cancel();
    co_await tick();
    EXPECT_EQ(queue.get_nowait(), "a");
    co_await tick();
    EXPECT_EQ(queue.get_nowait(), "c");
    EXPECT_TRUE(b.cancelled());
    EXPECT_TRUE(c.done());
    co_await a;
}

// QUEUE-12
CO_TEST(QueueCancel, APutterCancelledAfterItWasWokenPassesTheSlotOn) {
    Queue<int> queue(1);
    queue.put_nowait(1);
    Task<> w = create_task(queue.put(2));
    Task<> v = create_task(queue.put(3));
    co_await tick();
    EXPECT_EQ(queue.get_nowait(), 1);
    w.cancel();
    EXPECT_EQ(co_await got(w), kCancelled);
    co_await v;
    EXPECT_EQ(queue.get_nowait(), 3);
    EXPECT_EQ(queue.qsize(), 0U);
}

CO_TEST(QueueCancel, TheLastPutterCancelledAfterItWasWokenLeavesTheSlotToAll) {
    Queue<int> queue(1);
    queue.put_nowait(1);
    Task<> putter = create_task(queue.put(2));
    co_await tick();
    EXPECT_EQ(queue.get_nowait(), 1);
    putter.cancel();
    EXPECT_EQ(co_await got(putter), kCancelled);
    queue.put_nowait(3);
    EXPECT_EQ(call_message([&] { queue.put_nowait(4); }), kFull);
    EXPECT_EQ(queue.get_nowait(), 3);
}

// QUEUE-13
CO_TEST(QueueCancel, CancelledWaitersLeaveNothingBehind) {
    Queue<int> queue(1);
    Task<int> getter = create_task(queue.get());
    co_await tick();
    getter.cancel();
    EXPECT_EQ(co_await got(getter), kCancelled);
    queue.put_nowait(1);
    Task<> putter = create_task(queue.put(2));
    co_await tick();
    putter.cancel();
    EXPECT_EQ(co_await got(putter), kCancelled);
    for (int item = 1; item <= 3; ++item) {
        EXPECT_EQ(queue.get_nowait(), item);
        queue.put_nowait(item + 1);
    }
    EXPECT_EQ(queue.qsize(), 1U);
}

CO_TEST(QueueCancel, ACancellationThatIsDueDoesNotTakeAnItemAway) {
    Trace log;
    Queue<int> queue;
    queue.put_nowait(1);
    Task<> self;
    const auto body = [&]() -> Coro<> {
        self.cancel();
        log(co_await queue.get());  // no suspension, hence no CancelledError
        co_await queue.put(2);
        log(queue.qsize());
        log(co_await got(tick()));
        co_await queue.get();
    };
    self = create_task(body());
    log(co_await got(self));
    EXPECT_TRUE(log.shows({"1", "1", "!CancelledError", "void"}));
}

CO_TEST(QueueCancel, ACancellationThatIsDueEndsAWaitAtOnce) {
    Queue<int> queue(1);
    Task<> self;
    const auto body = [&]() -> Coro<> {
        self.cancel("why");
        co_await queue.get();
    };
    self = create_task(body());
    EXPECT_EQ(co_await got_message(self), "!CancelledError(why)");
    queue.put_nowait(1);
    EXPECT_EQ(queue.get_nowait(), 1);
}

CO_TEST(QueueCancel, AGetterMaySwallowItsCancellationAndAskAgain) {
    Queue<int> queue;
    std::vector<int> items;
    const auto stubborn = [&]() -> Coro<> {
        EXPECT_EQ(co_await got(queue.get()), kCancelled);
        items.push_back(co_await queue.get());
    };
    Task<> task = create_task(stubborn());
    const Task<> other = create_task(get_into(queue, items));
    co_await tick();
    queue.put_nowait(1);
    task.cancel();
    queue.put_nowait(2);
    co_await gather(task, other);
    EXPECT_EQ(items.size(), 2U);
    EXPECT_EQ(items[0] + items[1], 3);
}

CO_TEST(QueueCancel, ACancelledJoinerIsForgotten) {
    Queue<int> queue;
    queue.put_nowait(1);
    Task<> early = create_task(queue.join());
    Task<> late = create_task(queue.join());
    co_await tick();
    early.cancel();
    EXPECT_EQ(co_await got(early), kCancelled);
    queue.task_done();
    late.cancel();  // woken already: nothing is lost by it
    EXPECT_EQ(co_await got(late), kCancelled);
    co_await queue.join();
}

// A waiter whose queue has gone ends by its cancellation, as at the end of run().
CO_TEST(QueueCancel, DestroyedWithWaitersLeavesThemToTheirCancellation) {
    std::vector<Task<>> tasks;
    {
        Queue<int> queue(1);
        queue.put_nowait(1);
        tasks.push_back(create_task(queue.put(2)));
        tasks.push_back(create_task(queue.join()));
        const auto keep = std::make_unique<Queue<int>>();
        tasks.push_back(create_task([](Queue<int>& empty) -> Coro<> { co_await empty.get(); }(*keep)));
        co_await tick();
    }
    co_await tick();
    for (Task<>& task : tasks) {
        EXPECT_FALSE(task.done());
        task.cancel();
        EXPECT_EQ(co_await got(task), kCancelled);
    }
}

CO_TEST(QueueCancel, MayBeDestroyedByTheGetterThatItWoke) {
    auto queue = std::make_unique<Queue<int>>();
    const auto last = [&]() -> Coro<> {
        EXPECT_EQ(co_await queue->get(), 1);
        queue.reset();
    };
    const Task<> task = create_task(last());
    co_await tick();
    queue->put_nowait(1);
    co_await task;
    EXPECT_EQ(queue, nullptr);
}

}  // namespace
}  // namespace knit::test
