// Condition, across loops.

#include "co_test.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <vector>

namespace knit::test {
namespace {

/// A bounded buffer: two conditions on one lock.
struct Buffer {
    static constexpr std::size_t kRoom = 2;
    Lock lock;
    Condition not_empty{lock};
    Condition not_full{lock};
    std::deque<int> items;
};
Coro<> produce(Buffer& buffer, int first, int count) {
    for (int item = first; item < first + count; ++item) {
        const Guard guard = co_await buffer.lock.scoped();
        co_await buffer.not_full.wait_for([&] { return buffer.items.size() < Buffer::kRoom; });
        buffer.items.push_back(item);
        buffer.not_empty.notify();
    }
}
Coro<int> consume(Buffer& buffer, int count) {
    Loop& home = get_running_loop();
    int sum = 0;
    for (int item = 0; item < count; ++item) {
        const Guard guard = co_await buffer.lock.scoped();
        co_await buffer.not_empty.wait_for([&] { return !buffer.items.empty(); });
        EXPECT_LE(buffer.items.size(), Buffer::kRoom);
        sum += buffer.items.front();
        buffer.items.pop_front();
        buffer.not_full.notify();
        EXPECT_EQ(&get_running_loop(), &home);
    }
    co_return sum;
}

CO_TEST_ON_LOOPS(ConditionOnLoops, LosesNoWakeUpOfABoundedBuffer) {
    Buffer buffer;
    std::vector<Task<>> producers;
    std::vector<Task<int>> consumers;
    for (int index = 0; index < 4; ++index) {
        consumers.push_back(spawn(consume(buffer, 10)));
        producers.push_back(spawn(produce(buffer, index * 10, 10)));
    }
    co_await gather(producers);
    int sum = 0;
    for (const int part : co_await gather(consumers)) {
        sum += part;
    }
    EXPECT_EQ(sum, 39 * 40 / 2);
    EXPECT_FALSE(buffer.lock.locked());
}

Coro<> take_ticket(Condition& condition, int& tickets, int& waiting) {
    const Guard guard = co_await condition.scoped();
    ++waiting;
    co_await condition.wait_for([&] { return tickets > 0; });
    --tickets;
}

CO_TEST_ON_LOOPS(ConditionOnLoops, LosesNoWakeUpHoweverWaitersAreCancelled) {
    Runtime& runtime = get_runtime();
    for (unsigned mask = 0; mask < 8; ++mask) {
        for (const bool notify_first : {false, true}) {
            Condition condition;
            int tickets = 0;
            int waiting = 0;
            std::vector<Task<>> tasks;
            for (std::size_t index = 0; index < 4; ++index) {
                Loop& loop = runtime.loop(index % runtime.size());
                tasks.push_back(create_task(take_ticket(condition, tickets, waiting), {.loop = &loop}));
            }
            while (waiting < 4) {
                co_await tick(1);
            }
            const auto cancel = [&] {
                for (unsigned index = 0; index < 3; ++index) {
                    if ((mask >> index & 1U) != 0) {
                        tasks[index].cancel();
                    }
                }
            };
            if (!notify_first) {
                cancel();
            }
            for (int ticket = 0; ticket < 4; ++ticket) {
                const Guard guard = co_await condition.scoped();
                ++tickets;
                condition.notify();
            }
            if (notify_first) {
                cancel();
            }
            co_await gather(return_exceptions, tasks);
            const auto cancelled = std::ranges::count_if(tasks, [](const Task<>& task) { return task.cancelled(); });
            EXPECT_EQ(tickets, cancelled);
            EXPECT_FALSE(tasks[3].cancelled());
            EXPECT_FALSE(condition.locked());
        }
    }
}

CO_TEST_ON_LOOPS(ConditionOnLoops, NotifyAllWakesTheWaitersOfAllLoops) {
    Runtime& runtime = get_runtime();
    Condition condition;
    int tickets = 0;
    int waiting = 0;
    std::vector<Task<>> tasks;
    for (std::size_t index = 0; index < 8; ++index) {
        Loop& loop = runtime.loop(index % runtime.size());
        tasks.push_back(create_task(take_ticket(condition, tickets, waiting), {.loop = &loop}));
    }
    while (waiting < 8) {
        co_await tick(1);
    }
    {
        const Guard guard = co_await condition.scoped();
        tickets = 8;
        condition.notify_all();
    }
    co_await gather(tasks);
    EXPECT_EQ(tickets, 0);
}

}  // namespace
}  // namespace knit::test
