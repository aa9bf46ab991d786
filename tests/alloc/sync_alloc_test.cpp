// What the synchronisation primitives ask the heap for: nothing, also when tasks wait. A binary of its own, because it
// replaces operator new.

#include <gtest/gtest.h>

#include "counted_news.hpp"
#include "knit/knit.hpp"

namespace knit {
namespace {

using test::news_now;

struct Primitives {
    Lock lock;
    Semaphore semaphore{1};
    Event event;
    Condition condition;
    Barrier barrier{2};
};

Coro<> contend(Primitives& all) {
    {
        const Guard guard = co_await all.lock.scoped();
        co_await yield();
    }
    {
        const Guard guard = co_await all.semaphore.scoped();
        co_await yield();
    }
    {
        const Guard guard = co_await all.condition.scoped();
        co_await all.condition.wait();
    }
    co_await all.event.wait();
    co_await all.barrier.wait();
}

Coro<> one_round(Primitives& all) {
    const Task<> one = create_task(contend(all));
    const Task<> other = create_task(contend(all));
    while (!one.done()) {
        co_await yield();
        const Guard guard = co_await all.condition.scoped();
        all.condition.notify_all();
        all.event.set();
    }
    all.event.clear();
    co_await one;
    co_await other;
}

TEST(SyncAlloc, ContentionAllocatesNothing) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new, and frames come from it";
    }
    run([]() -> Coro<> {
        Primitives all;
        co_await one_round(all);
        const std::size_t before = news_now();
        for (int round = 0; round < 10; ++round) {
            co_await one_round(all);
        }
        const std::size_t allocated = news_now() - before;
        EXPECT_EQ(allocated, 0U);
        EXPECT_FALSE(all.lock.locked() || all.semaphore.locked() || all.condition.locked());
    }, {.loops = 1, .slow_task = Duration::zero()});
}

}  // namespace
}  // namespace knit
