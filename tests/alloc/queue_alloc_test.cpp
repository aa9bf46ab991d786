// What a queue asks the heap for once it has grown: nothing. A binary of its own, because it replaces operator new.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "counted_news.hpp"
#include "knit/knit.hpp"

namespace knit {
namespace {

using test::news_now;

class QueueSteadyState : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new, and frames come from it";
        }
    }
};

Coro<> put_and_get(Queue<int>& queue, int count) {
    for (int item = 0; item < count; ++item) {
        co_await queue.put(item);
        queue.put_nowait(item);
        const int first = co_await queue.get();
        const int second = queue.get_nowait();
        EXPECT_EQ(first, second);
    }
}

TEST_F(QueueSteadyState, PutAndGetThatNeedNotWaitAllocateNothing) {
    run(
        []() -> Coro<> {
            Queue<int> queue;
            LifoQueue<int> lifo;
            PriorityQueue<int> priority;
            for (Queue<int>* const each :
                 {&queue, static_cast<Queue<int>*>(&lifo), static_cast<Queue<int>*>(&priority)}) {
                co_await put_and_get(*each, 50);
                const std::size_t before = news_now();
                co_await put_and_get(*each, 1000);
                const std::size_t allocated = news_now() - before;
                EXPECT_EQ(allocated, 0U);
            }
        },
        {.loops = 1, .slow_task = Duration::zero()});
}

Coro<> produce(Queue<std::unique_ptr<int>>& queue, Queue<std::unique_ptr<int>>& back, int count) {
    for (int item = 0; item < count; ++item) {
        std::unique_ptr<int> box = co_await back.get();
        *box = item;
        co_await queue.put(std::move(box));
    }
}
Coro<> consume(Queue<std::unique_ptr<int>>& queue, Queue<std::unique_ptr<int>>& back, int count) {
    for (int item = 0; item < count; ++item) {
        std::unique_ptr<int> box = co_await queue.get();
        EXPECT_EQ(*box, item);
        co_await back.put(std::move(box));
    }
}

TEST_F(QueueSteadyState, WaitingAllocatesNothing) {
    run(
        []() -> Coro<> {
            Queue<std::unique_ptr<int>> queue(1);
            Queue<std::unique_ptr<int>> back(2);
            back.put_nowait(std::make_unique<int>());
            back.put_nowait(std::make_unique<int>());
            co_await gather(produce(queue, back, 50), consume(queue, back, 50));
            const std::size_t before = news_now();
            co_await gather(produce(queue, back, 1000), consume(queue, back, 1000));
            const std::size_t allocated = news_now() - before;
            EXPECT_EQ(allocated, 0U);
        },
        {.loops = 1, .slow_task = Duration::zero()});
}

}  // namespace
}  // namespace knit
