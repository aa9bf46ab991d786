// What timeouts ask the heap for in the steady state: nothing. A binary of its own, because it replaces operator new.

#include <gtest/gtest.h>

#include <chrono>

#include "counted_news.hpp"
#include "knit/knit.hpp"

namespace knit {
namespace {

using test::news_now;

using namespace std::chrono_literals;

Coro<int> one() {
    co_await yield();
    co_return 1;
}

Coro<int> with_timeouts(int count) {
    int sum = 0;
    for (int i = 0; i < count; ++i) {
        sum += co_await wait_for(one(), 1h);
        sum += co_await timeout_scope(1h, [](Timeout& timeout) -> Coro<int> {
            timeout.reschedule(*timeout.when() + 1h);
            co_return co_await shield(one());
        });
    }
    co_return sum;
}

TEST(TimeoutAlloc, TimeoutsThatDoNotFireAllocateNothing) {
    if (KNIT_ASAN || KNIT_TSAN) {
        GTEST_SKIP() << "the sanitizers bring their own operator new, and frames come from it";
    }
    RunOptions options;
    options.loops = 1;
    options.slow_task = Duration::zero();
    run([]() -> Coro<> {
        co_await with_timeouts(100);
        const std::size_t before = news_now();
        const int sum = co_await with_timeouts(10'000);
        EXPECT_EQ(news_now() - before, 0U);
        EXPECT_EQ(sum, 20'000);
    }, options);
}

}  // namespace
}  // namespace knit
