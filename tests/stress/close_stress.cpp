// Threads that give work to a runtime while it closes, and a task that moves. What must hold: what was accepted ends,
// and so does close().
// KNIT_STRESS_MS: how long.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <source_location>
#include <span>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include <knit/knit.hpp>

#include "runtime_core.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::chrono::milliseconds test_time() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

knit::Coro<> return_at_once() { co_return; }

knit::RunOptions on_loops(unsigned loops) {
    knit::RunOptions options;
    options.loops = loops;
    return options;
}

/// Whether close() returns; where it does not, loop 0 is made to look around, so that the test ends.
bool has_closed(knit::Runtime& runtime, const std::future<void>& closed) {
    if (closed.wait_for(20s) == std::future_status::ready) {
        return true;
    }
    runtime.stop();
    return false;
}

class CoreStressEnd : public testing::TestWithParam<unsigned> {};
INSTANTIATE_TEST_SUITE_P(Loops, CoreStressEnd, testing::Values(1, 2), testing::PrintToStringParamName());

TEST_P(CoreStressEnd, ATaskThatSubmitAcceptedEndsHoweverItRacesWithClose) {
    const Clock::time_point end = Clock::now() + test_time();
    unsigned accepted = 0;
    unsigned lost = 0;
    bool is_closed = true;
    do {
        knit::Runtime runtime(on_loops(GetParam()));
        std::promise<void> closed;
        const std::future<void> is_over = closed.get_future();
        std::thread submitter([&] {
            try {
                for (;;) {
                    knit::Task<> task =
                        accepted++ % 2 == 0
                            ? runtime.submit(return_at_once())
                            : knit::run_coroutine_threadsafe(return_at_once(), runtime.loop(GetParam() - 1));
                    lost += task.wait_for(20s) && task.done() ? 0 : 1;
                }
            } catch (const knit::RuntimeError&) {
                // "Event loop is closed"
            }
            is_closed = has_closed(runtime, is_over);
        });
        std::this_thread::yield();
        runtime.close();
        closed.set_value();
        submitter.join();
    } while (Clock::now() < end && lost == 0 && is_closed);
    EXPECT_EQ(lost, 0U);
    EXPECT_TRUE(is_closed);
    EXPECT_GT(accepted, 0U);
}

/// It is not said to be closed before all of them are.
bool takes_messages(knit::Loop& loop) {
    try {
        loop.call_soon_threadsafe([] {});
        return true;
    } catch (const knit::RuntimeError&) {
        return false;
    }
}

/// What submit() does after its task is pushed: the task, and the run with it, may have ended by then.
TEST(CoreEnd, ARuntimeEndsAfterTheThreadsThatGiveItWork) {
    const Clock::time_point end = Clock::now() + test_time();
    do {
        std::atomic<bool> is_in = false;
        std::atomic<bool> is_out = false;
        auto runtime = std::make_unique<knit::Runtime>(on_loops(2));
        std::thread thread([&, loop = &runtime->loop(1), life = runtime->core().life()] {
            const knit::detail::RuntimeLife::Submitter submitter(life);
            is_in = true;
            while (takes_messages(*loop)) {
                std::this_thread::yield();
            }
            is_out = true;
        });
        while (!is_in) {
            std::this_thread::yield();
        }
        runtime.reset();
        EXPECT_TRUE(is_out);
        thread.join();
    } while (Clock::now() < end && !HasFailure());
}

/// What a task saw that would move to `target` once that is closed.
struct Stay {
    knit::Coro<> run(knit::Loop& target) {
        const knit::Loop& here = knit::get_running_loop();
        has_begun = true;
        while (takes_messages(target)) {  // in one step: the end of the run gives this task up
            std::this_thread::yield();
        }
        try {
            co_await knit::resume_on(target);
        } catch (const knit::RuntimeError& refused) {
            error = refused.what();
        }
        is_here = &knit::get_running_loop() == &here && knit::current_task().has_value();
        co_await knit::yield();
        goes_on = &knit::get_running_loop() == &here;
    }

    std::atomic<bool> has_begun{false};
    std::string error;
    bool is_here = false;
    bool goes_on = false;
};

TEST(CoreStressEnd, ATaskThatAClosedLoopRefusesGoesOnWhereItIs) {
    Stay stay;
    knit::RunOptions options;
    options.loops = 3;
    options.grace = 1ms;
    knit::set_log_sink([](const knit::LogRecord&) {});  // that the task is given up
    knit::run([&]() -> knit::Coro<> {
        knit::Runtime& runtime = knit::get_runtime();
        runtime.loop(1).create_task(stay.run(runtime.loop(2)));
        while (!stay.has_begun) {
            co_await knit::yield();
        }
    }, options);
    knit::set_log_sink({});
    EXPECT_EQ(stay.error, "Event loop is closed");
    EXPECT_TRUE(stay.is_here);
    EXPECT_TRUE(stay.goes_on);
}

/// A thread makes a task in two steps: it is counted before close(), and `start` refuses it when loop 0 sleeps.
template <class Start>
void expect_that_close_ends(Start start) {
    knit::Runtime runtime(on_loops(1));
    std::promise<void> counted;
    std::promise<void> closed;
    const std::future<void> is_over = closed.get_future();
    bool is_refused = false;
    bool is_closed = false;
    std::thread late([&] {
        knit::detail::Worker& keeper = runtime.core().keeper_for_submit();
        const auto handle = return_at_once().release();
        knit::detail::TaskCore& task = handle.promise().make_task(keeper, handle, knit::detail::new_task_id(keeper),
                                                                  nullptr, std::source_location::current());
        const knit::Task<> result{knit::detail::CoreRef(&task)};
        counted.set_value();
        while (runtime.metrics().loops[0].parks == 0) {
            std::this_thread::yield();
        }
        try {
            start(runtime, keeper, task);
        } catch (const knit::RuntimeError&) {
            is_refused = true;
        }
        is_closed = has_closed(runtime, is_over);
    });
    counted.get_future().wait();
    runtime.close();
    closed.set_value();
    late.join();
    EXPECT_TRUE(is_refused);
    EXPECT_TRUE(is_closed);
}

/// A callback that comes again at once, for as long as `goes_on`: its loop has no turn without work. It lets no turn
/// end between the beginning of the end and loop 0's sleep.
struct Chain {
    void operator()() {
        is_begun = true;
        while (runtime.core().is_closing() && goes_on && runtime.metrics().loops[0].parks == 0) {
            std::this_thread::yield();
        }
        if (goes_on) {
            knit::get_running_loop().call_soon(std::ref(*this));
        }
    }
    knit::Runtime& runtime;
    std::atomic<bool> is_begun{false};
    std::atomic<bool> goes_on{true};
};

TEST(CoreEnd, CloseEndsThoughALoopThatAnswersLateIsNeverIdle) {
    knit::Runtime runtime(on_loops(2));
    const knit::Task<> task = runtime.loop(0).create_task(return_at_once());
    Chain chain{runtime};
    runtime.loop(1).call_soon_threadsafe(std::ref(chain));
    while (!chain.is_begun) {
        std::this_thread::yield();
    }
    std::promise<void> closed;
    const std::future<void> is_over = closed.get_future();
    bool is_closed = false;
    std::thread watch([&] {
        is_closed = has_closed(runtime, is_over);
        chain.goes_on = false;
    });
    runtime.close();
    closed.set_value();
    watch.join();
    EXPECT_TRUE(is_closed);
    EXPECT_TRUE(task.cancelled());
}

TEST(CoreEnd, ACallbackThatAsksForAllTasksDoesNotHoldItUp) {
    for (int round = 0; round < 30; ++round) {
        knit::Runtime runtime(on_loops(3));
        std::atomic<bool> is_begun{false};
        std::function<void()> ask = [&] {
            static_cast<void>(runtime.all_tasks());  // also of loops that stand still already
            is_begun = true;
            knit::get_running_loop().call_soon(std::ref(ask));
        };
        runtime.loop(1).call_soon_threadsafe(std::ref(ask));
        while (!is_begun) {
            std::this_thread::yield();
        }
        runtime.close();
    }
}

/// Counts itself as long as it lives, and reads what nobody writes.
class Readers {
public:
    Readers() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
    ~Readers() {
        close(ends_[0]);
        close(ends_[1]);
    }
    Readers(const Readers&) = delete;
    Readers& operator=(const Readers&) = delete;

    void start() { static_cast<void>(knit::create_task(read())); }
    int alive() const { return alive_; }

private:
    struct Count {
        explicit Count(std::atomic<int>& counted) : alive(counted) { ++alive; }
        ~Count() { --alive; }
        std::atomic<int>& alive;
    };
    knit::Coro<> read() {
        const Count count(alive_);
        knit::io::PipeReader reader(knit::detail::Fd(dup(ends_[0])));
        char byte = 0;
        co_await reader.read_some(std::span<char>(&byte, 1));
    }

    int ends_[2] = {};
    std::atomic<int> alive_{0};
};

/// Each beat makes a task, and the next beat.
struct Beat {
    void operator()() {
        knit::get_running_loop().call_later(50us, *this);
        readers->start();
    }
    Readers* readers;
};

TEST_P(CoreStressEnd, WhatATimerOfTheLastLoopMakesToTheVeryEndEnds) {
    const Clock::time_point end = Clock::now() + test_time();
    do {
        Readers readers;
        knit::run([&]() -> knit::Coro<> {
            knit::get_runtime().loop(GetParam() - 1).call_soon_threadsafe(Beat{&readers});
            co_await knit::sleep(1ms);
        }, on_loops(GetParam()));
        ASSERT_EQ(readers.alive(), 0);
    } while (Clock::now() < end);
}

TEST_P(CoreStressEnd, WhatTheCallbacksOfAThreadMakeToTheVeryEndEnds) {
    constexpr int kMost = 1000;  // the run does not end as long as there are always new ones
    const Clock::time_point end = Clock::now() + test_time();
    do {
        Readers readers;
        knit::Runtime runtime(on_loops(GetParam()));
        knit::Loop& loop = runtime.loop(GetParam() - 1);
        std::promise<void> begun;
        std::thread thread([&] {
            try {
                for (int count = 0; count < kMost; ++count) {
                    loop.call_soon_threadsafe([&readers] { readers.start(); });
                    if (count == kMost / 20) {
                        begun.set_value();
                    }
                    std::this_thread::yield();
                }
            } catch (const knit::RuntimeError&) {
                // "Event loop is closed"
            }
        });
        begun.get_future().wait();
        runtime.close();
        thread.join();
        ASSERT_EQ(readers.alive(), 0);
    } while (Clock::now() < end);
}

TEST(CoreEnd, CloseEndsWhenTheLastTaskThatItWaitsForIsRefusedBySubmit) {
    expect_that_close_ends([](knit::Runtime& runtime, knit::detail::Worker&, knit::detail::TaskCore& task) {
        runtime.core().submit(task);
    });
}

TEST(CoreEnd, CloseEndsWhenTheLastTaskThatItWaitsForIsRefusedByItsLoop) {
    expect_that_close_ends([](knit::Runtime&, knit::detail::Worker& keeper, knit::detail::TaskCore& task) {
        knit::TaskOptions options;
        knit::detail::start_on(task, keeper, options);
    });
}

}  // namespace
