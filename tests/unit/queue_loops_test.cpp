// Queues between loops: nothing is lost or doubled, whoever is cancelled and whenever.

#include "co_test.hpp"

#include <algorithm>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

TaskOptions on(std::size_t index) {
    Runtime& runtime = get_runtime();
    TaskOptions options;
    options.loop = &runtime.loop(index % runtime.size());
    return options;
}

Coro<> put_all(Queue<int>& queue, int first, int count) {
    for (int item = first; item < first + count; ++item) {
        co_await queue.put(item);
        if (item % 7 == 0) {
            co_await yield();
        }
    }
}
/// Until -1 comes; that goes on to the next.
Coro<std::vector<int>> get_all(Queue<int>& queue) {
    std::vector<int> items;
    Loop& home = get_running_loop();
    for (;;) {
        const int item = co_await queue.get();
        EXPECT_EQ(&get_running_loop(), &home);
        if (item < 0) {
            break;
        }
        items.push_back(item);
        queue.task_done();
    }
    queue.put_nowait(-1);
    co_return items;
}
std::vector<int> numbers(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}
std::vector<int> sorted(std::vector<int> items) {
    std::ranges::sort(items);
    return items;
}

CO_TEST_ON_LOOPS(QueueLoops, OneProducerAndOneConsumerKeepTheOrder) {
    for (const std::size_t maxsize : {0U, 1U, 3U, 50U}) {
        Queue<int> queue(maxsize);
        const Task<> producer = create_task(put_all(queue, 0, 200), on(1));
        std::vector<int> items;
        for (int i = 0; i < 200; ++i) {
            items.push_back(co_await queue.get());
        }
        EXPECT_EQ(items, numbers(200));
        co_await producer;
    }
}

CO_TEST_ON_LOOPS(QueueLoops, ManyProducersAndConsumersLoseAndDoubleNothing) {
    constexpr int kEach = 60;
    for (const std::size_t maxsize : {0U, 2U, 17U}) {
        Queue<int> queue(maxsize == 0 ? 0 : maxsize + 1);
        std::vector<Task<>> producers;
        std::vector<Task<std::vector<int>>> consumers;
        for (int i = 0; i < 4; ++i) {
            consumers.push_back(create_task(get_all(queue), on(static_cast<std::size_t>(i))));
            producers.push_back(create_task(put_all(queue, i * kEach, kEach), on(static_cast<std::size_t>(i + 1))));
        }
        co_await gather(producers);
        co_await queue.join();
        co_await queue.put(-1);
        std::vector<int> all;
        for (Task<std::vector<int>>& consumer : consumers) {
            const std::vector<int> items = co_await consumer;
            all.insert(all.end(), items.begin(), items.end());
            // What one producer put, each consumer sees in its order.
            for (int producer = 0; producer < 4; ++producer) {
                std::vector<int> of_one;
                std::ranges::copy_if(items, std::back_inserter(of_one),
                                     [&](int item) { return item / kEach == producer; });
                EXPECT_TRUE(std::ranges::is_sorted(of_one));
            }
        }
        EXPECT_EQ(sorted(all), numbers(4 * kEach));
    }
}

CO_TEST_ON_LOOPS(QueueLoops, EveryKindWorksBetweenLoops) {
    constexpr int kCount = 100;
    std::vector<std::unique_ptr<Queue<int>>> kinds;
    kinds.push_back(std::make_unique<Queue<int>>(5));
    kinds.push_back(std::make_unique<LifoQueue<int>>(5));
    kinds.push_back(std::make_unique<PriorityQueue<int>>(5));
    for (const std::unique_ptr<Queue<int>>& queue : kinds) {
        const Task<> producer = create_task(put_all(*queue, 0, kCount), on(1));
        std::vector<int> items;
        for (int i = 0; i < kCount; ++i) {
            items.push_back(co_await queue->get());
            queue->task_done();
        }
        EXPECT_EQ(sorted(items), numbers(kCount));
        co_await producer;
        co_await queue->join();
    }
}

/// Gets one item; when it has none, it is because it was cancelled.
Coro<> get_one(Queue<int>& queue, std::vector<int>& items) {
    const int item = co_await queue.get();
    items.push_back(item);
}
Coro<> put_one(Queue<int>& queue, int item, std::vector<int>& put) {
    co_await queue.put(item);
    put.push_back(item);
}

// Every loop has its own places for what its tasks did, and the tasks are cancelled from another loop.
CO_TEST_ON_LOOPS(QueueLoops, CancelledGettersGiveTheirItemsBack) {
    const std::size_t loops = get_runtime().size();
    for (int delay = 0; delay < 4; ++delay) {
        Queue<int> queue;
        std::vector<std::vector<int>> got_items(loops);
        std::vector<Task<>> getters;
        for (std::size_t i = 0; i < 40; ++i) {
            getters.push_back(create_task(get_one(queue, got_items[i % loops]), on(i)));
        }
        co_await tick(delay);
        for (int item = 0; item < 30; ++item) {
            queue.put_nowait(item);
            getters[static_cast<std::size_t>(item * 7 % 40)].cancel();
            if (item % 5 == delay) {
                co_await tick();
            }
        }
        for (Task<>& getter : getters) {
            getter.cancel();
        }
        std::vector<int> all;
        for (const Task<>& getter : getters) {
            co_await got(getter);
        }
        for (const std::vector<int>& items : got_items) {
            all.insert(all.end(), items.begin(), items.end());
        }
        while (!queue.empty()) {
            all.push_back(queue.get_nowait());
        }
        EXPECT_EQ(sorted(all), numbers(30));
    }
}

CO_TEST_ON_LOOPS(QueueLoops, CancelledPuttersPutNothingAndTheirSlotsAreFilled) {
    const std::size_t loops = get_runtime().size();
    for (int delay = 0; delay < 4; ++delay) {
        Queue<int> queue(3);
        std::vector<std::vector<int>> put_items(loops);
        std::vector<Task<>> putters;
        for (std::size_t i = 0; i < 40; ++i) {
            putters.push_back(create_task(put_one(queue, static_cast<int>(i), put_items[i % loops]), on(i)));
        }
        co_await tick(delay);
        std::vector<int> taken;
        for (std::size_t i = 0; i < 20; ++i) {
            taken.push_back(co_await queue.get());
            putters[i * 7 % 40].cancel();
            if (static_cast<int>(i % 5) == delay) {
                co_await tick();
            }
        }
        // Whoever was not cancelled comes through, once there is room.
        std::vector<Task<>> rest = putters;
        const Task<> drain = create_task([](Queue<int>& from, std::vector<int>& to) -> Coro<> {
            for (;;) {
                to.push_back(co_await from.get());
            }
        }(queue, taken));
        for (const Task<>& putter : rest) {
            co_await got(putter);
        }
        co_await sleep(1ms);
        std::vector<int> all_put;
        for (const std::vector<int>& items : put_items) {
            all_put.insert(all_put.end(), items.begin(), items.end());
        }
        EXPECT_TRUE(queue.empty());
        EXPECT_EQ(sorted(taken), sorted(all_put));
        Task<> stop = drain;
        stop.cancel();
        co_await got(stop);
    }
}

CO_TEST_ON_LOOPS(QueueLoops, JoinEndsOnItsOwnLoop) {
    Queue<int> queue;
    queue.put_nowait(1);
    std::vector<Task<bool>> joiners;
    for (std::size_t i = 0; i < 4; ++i) {
        joiners.push_back(create_task(
            [](Queue<int>& joined) -> Coro<bool> {
                Loop& home = get_running_loop();
                co_await joined.join();
                co_return &home == &get_running_loop();
            }(queue),
            on(i)));
    }
    co_await sleep(1ms);
    queue.task_done();
    for (Task<bool>& joiner : joiners) {
        EXPECT_TRUE(co_await joiner);
    }
}

// Made without a loop, used in one runtime after another.
TEST(QueueLoops, AQueueOutlivesTheRuntimesThatUseIt) {
    static Queue<std::string> queue(2);
    queue.put_nowait("before");
    for (int round = 0; round < 3; ++round) {
        const std::string text = run_one([]() -> Coro<std::string> {
            std::string oldest = co_await queue.get();
            const Task<std::string> getter = create_task(queue.get());
            co_await tick();
            co_await queue.put("in between");
            EXPECT_EQ(co_await getter, "in between");
            co_await queue.put("left over");
            co_return oldest;
        });
        EXPECT_EQ(text, round == 0 ? "before" : "left over");
    }
}

// The end of run() cancels whoever waits, and the queue is as good as new.
TEST(QueueLoops, AWaiterThatTheEndOfTheRunCancelsLeavesTheQueueUsable) {
    Queue<int> queue(1);
    run_one([&]() -> Coro<> {
        create_task(queue.get());
        create_task(queue.join());
        co_await tick();
    });
    queue.put_nowait(1);
    run_one([&]() -> Coro<> {
        create_task(queue.put(2));
        co_await tick();
    });
    EXPECT_EQ(queue.get_nowait(), 1);
    EXPECT_THROW(queue.get_nowait(), QueueEmpty);
}

}  // namespace
}  // namespace knit::test
