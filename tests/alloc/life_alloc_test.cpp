// A runtime begins and ends where there is no memory, and ends where there is no thread. A binary of its own: it
// replaces operator new and pthread_create().

#include <gtest/gtest.h>

#include <cerrno>
#include <limits>
#include <new>
#include <string>

#include <dlfcn.h>
#include <pthread.h>

#include "failing_news.hpp"
#include "knit/knit.hpp"
#include "runtime_core.hpp"

namespace {

constexpr unsigned long kAll = std::numeric_limits<unsigned long>::max();
thread_local unsigned long t_news_left = kAll;  // of this thread, before it has no memory
thread_local bool t_has_threads = true;

}  // namespace

bool knit::test::refuses_memory() noexcept {
    if (t_news_left == 0) {
        return true;
    }
    t_news_left -= t_news_left != kAll ? 1 : 0;
    return false;
}

// The sanitizers bring their own, and the tests are skipped there.
#if !KNIT_ASAN && !KNIT_TSAN
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*function)(void*),
                              void* argument) noexcept {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    return t_has_threads ? create(thread, attributes, function, argument) : EAGAIN;
}
#endif

namespace knit {
namespace {

class RuntimeLife : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new";
        }
    }
};

struct NewsLeft {
    explicit NewsLeft(unsigned long count) { t_news_left = count; }
    ~NewsLeft() { t_news_left = kAll; }
};

struct NoThreads {
    NoThreads() { t_has_threads = false; }
    ~NoThreads() { t_has_threads = true; }
};

RunOptions two_loops() {
    RunOptions options;
    options.loops = 2;
    return options;
}

Coro<int> number() { co_return 7; }
Coro<> use_the_pool() {
    Coro<> job = to_thread([] {});
    co_await std::move(job);
}

/// Whether it could be made, and closed, when the thread has memory `count` times.
bool can_be_made(unsigned long count) {
    try {
        const NewsLeft left(count);
        Runtime runtime(two_loops());
        t_news_left = kAll;
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

TEST_F(RuntimeLife, OneThatCannotBeMadeLeavesNothingBehindNotEvenTheLoopAroundIt) {
    unsigned long count = 0;
    run([&]() -> Coro<> {
        const Loop& here = get_running_loop();
        while (!can_be_made(count)) {
            ++count;
            if (detail::Worker::current() == nullptr) {
                break;
            }
            EXPECT_EQ(&get_running_loop(), &here);
        }
        EXPECT_NE(detail::Worker::current(), nullptr) << "after " << count;
        co_return;
    }, two_loops());
    EXPECT_GT(count, 10U);
}

TEST_F(RuntimeLife, EndsWithoutMemory) {
    Runtime runtime(two_loops());
    EXPECT_EQ(runtime.run_until_complete(number()), 7);
    {
        const NewsLeft left(0);
        EXPECT_NO_THROW(runtime.close());
    }
    EXPECT_TRUE(runtime.is_closed());
}

TEST_F(RuntimeLife, EndsWithoutMemoryThoughItHasUsedThePool) {
    Runtime runtime(two_loops());
    runtime.run_until_complete(use_the_pool());
    {
        const NewsLeft left(0);
        EXPECT_NO_THROW(runtime.close());
    }
    EXPECT_TRUE(runtime.is_closed());
}

TEST_F(RuntimeLife, EndsWithoutAThreadMoreThoughItHasUsedThePool) {
    Runtime runtime(two_loops());
    runtime.run_until_complete(use_the_pool());
    {
        const NoThreads none;
        EXPECT_NO_THROW(runtime.close());
    }
    EXPECT_TRUE(runtime.is_closed());
}

}  // namespace
}  // namespace knit
