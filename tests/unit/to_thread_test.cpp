// to_thread(): blocking code beside the loops.

#include "co_test.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

/// Where a test holds a function in its thread.
struct Gate {
    void wait() const {
        while (!is_open) {
            std::this_thread::yield();
        }
    }
    std::atomic<bool> is_open{false};
};

CO_TEST_ON_LOOPS(ToThread, GivesTheValueFromAnotherThread) {
    EXPECT_EQ(co_await to_thread([](int a, int b) { return a + b; }, 40, 2), 42);
    EXPECT_NE(co_await to_thread([] { return std::this_thread::get_id(); }), std::this_thread::get_id());
    bool is_called = false;
    co_await to_thread([&] { is_called = true; });
    EXPECT_TRUE(is_called);
}

CO_TEST(ToThread, RethrowsTheExceptionOnTheLoop) {
    EXPECT_EQ(co_await got_message(to_thread([] { throw Err("test"); })), "!Err(test)");
}

CO_TEST(ToThread, MovesArgumentsAndResults) {
    const auto twice = [](std::unique_ptr<int> value) {
        *value *= 2;
        return value;
    };
    const std::unique_ptr<int> result = co_await to_thread(twice, std::make_unique<int>(21));
    EXPECT_EQ(*result, 42);
}

CO_TEST(ToThread, RunsSeveralAtOnceAndEachOnce) {
    // Each waits for all: they can only end when they run at the same time.
    std::atomic<int> running{0};
    std::atomic<int> calls{0};
    std::vector<Coro<>> jobs;
    for (int i = 0; i < 4; ++i) {
        jobs.push_back(to_thread([&] {
            ++calls;
            ++running;
            while (running < 4) {
                std::this_thread::yield();
            }
        }));
    }
    co_await gather(std::move(jobs));
    EXPECT_EQ(calls, 4);
}

/// One idle thread is not enough for two jobs that wait for each other.
CO_TEST(ToThread, RunsSeveralAtOnceWhereOneThreadIsIdle) {
    co_await to_thread([] {});
    while (get_runtime().metrics().blocking.idle != 1) {
        co_await yield();
    }
    std::atomic<int> running{0};
    std::vector<Coro<>> jobs;
    for (int i = 0; i < 2; ++i) {
        jobs.push_back(to_thread([&] {
            ++running;
            while (running < 2) {
                std::this_thread::yield();
            }
        }));
    }
    co_await gather(std::move(jobs));
    EXPECT_EQ(running, 2);
}

CO_TEST(ToThread, IsLazy) {
    Trace log;
    Coro<> coro = to_thread([&] { log("ran"); });
    co_await sleep(5ms);
    log("not yet");
    co_await std::move(coro);
    EXPECT_TRUE(log.shows({"not yet", "ran"}));
}

CO_TEST(ToThread, TheLoopGoesOnMeanwhile) {
    Gate gate;
    int turns = 0;
    const Task<> task = create_task(to_thread([&] { gate.wait(); }));
    for (; turns < 10; ++turns) {
        co_await yield();
    }
    EXPECT_FALSE(task.done());
    gate.is_open = true;
    co_await task;
}

CO_TEST(ToThread, CancelledItLeavesTheFunctionToItsEndAndDropsTheResult) {
    const auto gate = std::make_shared<Gate>();
    const auto has_begun = std::make_shared<Gate>();
    const auto has_ended = std::make_shared<Gate>();
    Task<int> task = create_task(to_thread([=] {
        has_begun->is_open = true;
        gate->wait();
        has_ended->is_open = true;
        return 1;
    }));
    while (!has_begun->is_open) {
        co_await yield();
    }
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_FALSE(has_ended->is_open);
    gate->is_open = true;
    co_await to_thread([=] { has_ended->wait(); });
}

CO_TEST(ToThread, ItsThreadMayWaitForATask) {
    Future<int> go;
    Task<int> task = create_task(as_coro(go));
    get_running_loop().call_soon([go]() mutable { go.set_result(5); });
    auto wait = [task]() mutable { return task.wait(); };  // made before: see docs/gcc12.md
    EXPECT_EQ(co_await to_thread(std::move(wait)), 5);
}

CO_TEST(ToThread, AnExceptionOfACancelledOneIsNotReported) {
    Trace log;
    on_error(log);
    const auto gate = std::make_shared<Gate>();
    Task<> task = create_task(to_thread([gate] {
        gate->wait();
        throw Err();
    }));
    co_await tick(2);
    task.cancel();
    log(co_await got(task));
    gate->is_open = true;
    co_await to_thread([] {});
    co_await tick(3);
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"!CancelledError"}));
}

}  // namespace
}  // namespace knit::test
