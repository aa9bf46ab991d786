// Queue.shutdown(), for all three kinds of queue.

#include "co_test.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

const std::string kShutDown = "!exception(QueueShutDown)";

/// The same body for each kind.
template <class Body>
Coro<> for_each_kind(Body body) {
    Queue<int> queue;
    co_await body(queue);
    LifoQueue<int> lifo;
    co_await body(lifo);
    PriorityQueue<int> priority;
    co_await body(priority);
}

template <class Operation>
Coro<> note(Trace& log, std::string name, Operation operation) {
    const std::string result = co_await got_message(std::move(operation));
    log(name + result);
}

Coro<> expect_all_refused(Queue<int>& queue) {
    EXPECT_EQ(co_await got_message(queue.put(1)), kShutDown);
    EXPECT_EQ(call_message([&] { queue.put_nowait(1); }), kShutDown);
    EXPECT_EQ(co_await got_message(queue.get()), kShutDown);
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kShutDown);
}

TEST(QueueShutdown, ThrowsTheTypeOfItsName) {
    Queue<int> queue;
    queue.shutdown();
    EXPECT_THROW(queue.get_nowait(), QueueShutDown);
    EXPECT_THROW(queue.put_nowait(1), QueueShutDown);
}

// QSHUTDOWN-01
Coro<> shut_down_empty(Queue<int>& queue) {
    const Task<std::string> getter = create_task(got_message(queue.get()));
    co_await tick();
    queue.shutdown();
    EXPECT_EQ(co_await getter, kShutDown);
    co_await queue.join();
    co_await expect_all_refused(queue);
}
CO_TEST(QueueShutdown, OfAnEmptyQueueWakesItsGetters) { co_await for_each_kind(shut_down_empty); }

Coro<> shut_down_with_items(Queue<int>& queue) {
    queue.put_nowait(1);
    queue.put_nowait(2);
    queue.shutdown();
    EXPECT_EQ(queue.qsize(), 2U);
    EXPECT_EQ(call_message([&] { queue.put_nowait(3); }), kShutDown);
    EXPECT_EQ(co_await got_message(queue.put(3)), kShutDown);
    const int first = co_await queue.get();
    const int second = queue.get_nowait();
    EXPECT_EQ(first + second, 3);
    co_await expect_all_refused(queue);
    Task<> joiner = create_task(queue.join());
    queue.task_done();
    co_await tick(2);
    EXPECT_FALSE(joiner.done());
    queue.task_done();
    co_await joiner;
}
CO_TEST(QueueShutdown, LeavesTheItemsToBeTaken) { co_await for_each_kind(shut_down_with_items); }

Coro<> shut_down_immediately(Queue<int>& queue) {
    queue.put_nowait(1);
    queue.put_nowait(2);
    Task<> joiner = create_task(queue.join());
    co_await tick();
    queue.shutdown(true);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(co_await turns_until_done(joiner), 1);
    co_await expect_all_refused(queue);
    EXPECT_THROW(queue.task_done(), ValueError);
}
CO_TEST(QueueShutdown, AtOnceDropsTheItemsAndReleasesJoin) { co_await for_each_kind(shut_down_immediately); }

// QSHUTDOWN-04
Coro<> shut_down_with_unfinished(Queue<int>& queue) {
    queue.put_nowait(1);
    queue.put_nowait(2);
    Task<> joiner = create_task(queue.join());
    co_await queue.get();
    queue.shutdown(true);
    co_await tick(2);
    EXPECT_FALSE(joiner.done());
    queue.task_done();
    co_await joiner;
    EXPECT_THROW(queue.task_done(), ValueError);
}
CO_TEST(QueueShutdown, AtOnceKeepsWhatIsTakenAndNotDone) { co_await for_each_kind(shut_down_with_unfinished); }

// QSHUTDOWN-05
Coro<> shut_down_twice(Queue<int>& queue) {
    queue.put_nowait(1);
    queue.shutdown();
    queue.shutdown();
    EXPECT_EQ(queue.qsize(), 1U);
    queue.shutdown(true);
    EXPECT_EQ(queue.qsize(), 0U);
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kShutDown);
    queue.shutdown(true);
    queue.shutdown();
    co_await queue.join();
}
CO_TEST(QueueShutdown, MayBeRepeatedAndMadeImmediate) { co_await for_each_kind(shut_down_twice); }

CO_TEST(QueueShutdown, TaskDoneForMoreThanWasTakenIsNotCountedTwice) {
    Queue<int> queue;
    queue.put_nowait(1);
    queue.put_nowait(2);
    queue.task_done();  // of none that was taken; asyncio does not notice
    queue.shutdown(true);
    EXPECT_THROW(queue.task_done(), ValueError);
    co_await queue.join();
}

CO_TEST(QueueShutdown, WakesThePuttersOfAFullQueue) {
    Trace log;
    for (const bool immediate : {false, true}) {
        Queue<int> queue(1);
        queue.put_nowait(1);
        const Task<> a = create_task(note(log, "a", queue.put(2)));
        const Task<> b = create_task(note(log, "b", queue.put(3)));
        co_await tick();
        queue.shutdown(immediate);
        co_await gather(a, b);
        EXPECT_EQ(queue.qsize(), immediate ? 0U : 1U);
    }
    EXPECT_TRUE(log.shows({"a" + kShutDown, "b" + kShutDown, "a" + kShutDown, "b" + kShutDown}));
}

CO_TEST(QueueShutdown, WakesInTheNextTurnJoinersThenGettersThenPutters) {
    Trace log;
    Queue<int> full(1);
    full.put_nowait(1);
    const Task<> putter = create_task(note(log, "putter", full.put(2)));
    const Task<> joiner = create_task(note(log, "joiner", full.join()));
    co_await tick();
    get_running_loop().call_soon([&] { log("before"); });
    full.shutdown(true);
    get_running_loop().call_soon([&] { log("after"); });
    co_await gather(putter, joiner);
    EXPECT_TRUE(log.shows({"before", "joinervoid", "putter" + kShutDown, "after"}));
}

CO_TEST(QueueShutdown, AGetterWokenBeforeItStillGetsItsItem) {
    Queue<int> queue;
    Task<int> first = create_task(queue.get());
    Task<std::string> second = create_task(got_message(queue.get()));
    co_await tick();
    queue.put_nowait(1);
    queue.shutdown();
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kShutDown);  // the item is kept for the first
    EXPECT_EQ(co_await first, 1);
    EXPECT_EQ(co_await second, kShutDown);
}

CO_TEST(QueueShutdown, AtOnceTakesTheItemOfAWokenGetterAway) {
    Queue<int> queue;
    Task<std::string> getter = create_task(got_message(queue.get()));
    co_await tick();
    queue.put_nowait(1);
    queue.shutdown(true);
    EXPECT_EQ(co_await getter, kShutDown);
    co_await queue.join();
}

CO_TEST(QueueShutdown, APutterWokenBeforeItIsRefused) {
    Queue<int> queue(1);
    queue.put_nowait(1);
    Task<std::string> putter = create_task(got_message(queue.put(2)));
    co_await tick();
    EXPECT_EQ(queue.get_nowait(), 1);
    queue.shutdown();
    EXPECT_EQ(co_await putter, kShutDown);
    EXPECT_TRUE(queue.empty());
}

CO_TEST(QueueShutdown, TheItemOfAWokenGetterThatIsCancelledGoesToOneThatItReleased) {
    Queue<int> queue;
    Task<int> first = create_task(queue.get());
    Task<int> second = create_task(queue.get());
    co_await tick();
    queue.put_nowait(1);
    queue.shutdown();
    first.cancel();
    EXPECT_EQ(co_await got(first), "!CancelledError");
    EXPECT_EQ(co_await second, 1);
}

CO_TEST(QueueShutdown, CancelledWaitersOfAQueueThatWasShutDownAreCancelled) {
    for (const bool immediate : {false, true}) {
        Queue<int> queue(1);
        Task<int> woken = create_task(queue.get());
        Task<int> released = create_task(queue.get());
        co_await tick();
        queue.put_nowait(1);
        queue.shutdown(immediate);
        woken.cancel();
        released.cancel();
        EXPECT_EQ(co_await got(woken), "!CancelledError");
        EXPECT_EQ(co_await got(released), "!CancelledError");
        EXPECT_EQ(call_message([&] { return queue.get_nowait(); }), immediate ? kShutDown : "1");
    }
}

/// On its death it asks the queue for its size, and notes it.
class Mourner {
public:
    Mourner(Queue<Mourner>& queue, Trace& log) noexcept : queue_(&queue), log_(&log) {}
    Mourner(const Mourner&) = default;
    Mourner& operator=(const Mourner&) = default;
    ~Mourner() { (*log_)("dies with " + std::to_string(queue_->qsize())); }

private:
    Queue<Mourner>* queue_;
    Trace* log_;
};

CO_TEST(QueueShutdown, DroppedItemsMayUseTheQueueInTheirDestructor) {
    Trace log;
    {
        Queue<Mourner> queue;
        queue.put_nowait(Mourner(queue, log));
        queue.put_nowait(Mourner(queue, log));
        const Mourner taken = co_await queue.get();
        const std::size_t before = log.size();
        queue.shutdown(true);
        EXPECT_EQ(log.size(), before + 1);
        EXPECT_EQ(log.lines().back(), "dies with 0");
    }
}

TEST(QueueShutdown, ItemsThatAreLeftMayUseTheQueueInTheirDestructor) {
    Trace log;
    Queue<Mourner> outer;
    auto queue = std::make_unique<Queue<Mourner>>();
    queue->put_nowait(Mourner(*queue, log));
    const std::size_t before = log.size();
    queue.reset();
    EXPECT_EQ(log.size(), before + 1);
}

CO_TEST(QueueShutdown, MayBeFollowedByTheEndOfTheQueueInAReleasedGetter) {
    auto queue = std::make_unique<Queue<int>>();
    const auto last = [&]() -> Coro<> {
        EXPECT_EQ(co_await got_message(queue->get()), kShutDown);
        queue.reset();
    };
    const Task<> task = create_task(last());
    co_await tick();
    queue->shutdown();
    co_await task;
}

CO_TEST_ON_LOOPS(QueueShutdown, ReleasesTheWaitersOfEveryLoop) {
    Runtime& runtime = get_runtime();
    Queue<int> queue;
    std::vector<Task<std::string>> getters;
    for (std::size_t i = 0; i < 4 * runtime.size(); ++i) {
        getters.push_back(create_task(got_message(queue.get()), {.loop = &runtime.loop(i % runtime.size())}));
    }
    co_await sleep(1ms);
    queue.put_nowait(1);
    queue.shutdown();
    int count = 0;
    for (Task<std::string>& getter : getters) {
        const std::string result = co_await getter;
        EXPECT_TRUE(result == "1" || result == kShutDown) << result;
        count += result == "1" ? 1 : 0;
    }
    EXPECT_EQ(count, 1);
}

CO_TEST_ON_LOOPS(QueueShutdown, AGetterThatItReleasesTakesNoItemThatIsKeptForAnother) {
    Runtime& runtime = get_runtime();
    for (const bool is_cancelled : {false, true}) {
        Queue<int> queue;
        Task<std::string> first = create_task(got_message(queue.get()), {.loop = &runtime.loop(runtime.size() - 1)});
        co_await sleep(1ms);
        Task<std::string> released = create_task(got_message(queue.get()));
        co_await sleep(1ms);
        queue.put_nowait(1);
        queue.shutdown();
        if (is_cancelled) {
            released.cancel();
        }
        co_await tick();  // the other loop may have run meanwhile, or not
        const std::string outcome = co_await released;  // named first: see docs/gcc12.md
        EXPECT_EQ(outcome, is_cancelled ? "!CancelledError()" : kShutDown);
        EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kShutDown);
        EXPECT_EQ(co_await first, "1");
    }
}

}  // namespace
}  // namespace knit::test
