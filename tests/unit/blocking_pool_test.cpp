// The threads of to_thread() where the system gives none.

#include "co_test.hpp"

#include <atomic>
#include <cstddef>
#include <string>
#include <thread>

#include <pthread.h>

namespace knit::test {
namespace {

/// No thread can be made as long as this lives: the stack that each would have is larger than all addresses.
class NoMoreThreads {
public:
    NoMoreThreads() {
        EXPECT_EQ(pthread_getattr_default_np(&before_), 0);
        pthread_attr_t huge;
        EXPECT_EQ(pthread_getattr_default_np(&huge), 0);
        EXPECT_EQ(pthread_attr_setstacksize(&huge, std::size_t{1} << 62), 0);
        EXPECT_EQ(pthread_setattr_default_np(&huge), 0);
        EXPECT_EQ(pthread_attr_destroy(&huge), 0);
    }
    NoMoreThreads(const NoMoreThreads&) = delete;
    NoMoreThreads& operator=(const NoMoreThreads&) = delete;
    ~NoMoreThreads() {
        EXPECT_EQ(pthread_setattr_default_np(&before_), 0);
        EXPECT_EQ(pthread_attr_destroy(&before_), 0);
    }

private:
    pthread_attr_t before_;
};

BlockingMetrics blocking_now() { return get_runtime().metrics().blocking; }

CO_TEST(BlockingPool, WithoutAnyThreadItThrowsAndNeverRunsTheFunction) {
    bool has_run = false;
    std::string error;
    {
        const NoMoreThreads none;
        error = co_await got_message(to_thread([&has_run] { has_run = true; }));
    }
    EXPECT_TRUE(error.find("Resource temporarily unavailable") != std::string::npos) << error;
    const BlockingMetrics refused = blocking_now();
    EXPECT_EQ(refused.threads, 0U);
    EXPECT_EQ(refused.queued, 0U);
    EXPECT_EQ(co_await to_thread([] { return 1; }), 1);
    const BlockingMetrics later = blocking_now();
    EXPECT_EQ(later.threads, 1U);
    EXPECT_EQ(later.begun, 1U);
    EXPECT_FALSE(has_run);
}

CO_TEST(BlockingPool, WithoutAnotherThreadTheFirstOneComesToAllFunctions) {
    std::atomic<bool> is_open{false};
    const Task<> first = create_task(to_thread([&is_open] {
        while (!is_open) {
            std::this_thread::yield();
        }
    }));
    while (blocking_now().begun != 1) {
        co_await yield();
    }
    Task<int> second;
    {
        const NoMoreThreads none;
        second = create_task(to_thread([] { return 2; }));
        co_await tick(2);
    }
    const BlockingMetrics busy = blocking_now();
    EXPECT_EQ(busy.threads, 1U);
    EXPECT_EQ(busy.queued, 1U);
    is_open = true;
    EXPECT_EQ(co_await second, 2);
    co_await first;
    co_await get_running_loop().shutdown_default_executor();  // waits for the threads that there are, and no others
    EXPECT_EQ(blocking_now().threads, 0U);
}

}  // namespace
}  // namespace knit::test
