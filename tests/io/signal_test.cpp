#include "knit/io/signal.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include "io_test.hpp"
#include "logged.hpp"

namespace knit::test {
namespace {

using Trace = std::vector<std::string>;

bool is_default(int signal) {
    struct sigaction action {};
    sigaction(signal, nullptr, &action);
    return action.sa_handler == SIG_DFL;
}

void send(int signal) { kill(getpid(), signal); }

TEST(Signal, IsWaitedForAndThenDoesWhatItDidBefore) {
    run_io([]() -> Coro<> {
        EXPECT_TRUE(is_default(SIGUSR1));
        auto waiting = io::signal_wait(SIGUSR1, SIGUSR2);
        EXPECT_FALSE(is_default(SIGUSR1));
        send(SIGUSR2);
        EXPECT_EQ(SIGUSR2, co_await std::move(waiting));
        EXPECT_TRUE(is_default(SIGUSR1));
        EXPECT_TRUE(is_default(SIGUSR2));
    });
}

TEST(Signal, CallsAHandlerEachTimeAndInTheOrderOfArrival) {
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        std::vector<int> calls;
        for (const int signal : {SIGUSR1, SIGUSR2}) {
            loop.add_signal_handler(signal, [&calls, signal] { calls.push_back(signal); });
        }
        for (const int signal : {SIGUSR2, SIGUSR1, SIGUSR1}) {
            std::raise(signal);  // in this thread, before it returns
        }
        co_await turns();
        EXPECT_EQ((std::vector<int>{SIGUSR2, SIGUSR1, SIGUSR1}), calls);
        // More than there is room for: none is lost for good.
        calls.clear();
        for (int count = 0; count < 1000; ++count) {
            std::raise(SIGUSR1);
        }
        std::raise(SIGUSR2);
        co_await turns();
        EXPECT_LT(200U, calls.size());
        EXPECT_EQ(SIGUSR2, calls.back());
        loop.remove_signal_handler(SIGUSR1);
        loop.remove_signal_handler(SIGUSR2);
    });
}

TEST(Signal, WakesALoopThatSleeps) {
    run_io([]() -> Coro<> {
        Task<int> waiting = create_task(signal_wait(SIGUSR1));
        co_await turns();
        std::thread sender([] { send(SIGUSR1); });
        EXPECT_EQ(SIGUSR1, co_await waiting);
        sender.join();
    });
}

TEST(Signal, ReachesEveryWaiterOnEveryLoop) {
    run_io(
        []() -> Coro<> {
            Runtime& runtime = get_runtime();
            std::vector<Task<int>> waiting;
            for (std::size_t index = 0; index < runtime.size(); ++index) {
                waiting.push_back(runtime.loop(index).create_task(signal_wait(SIGUSR1)));
                waiting.push_back(runtime.loop(index).create_task(signal_wait(SIGUSR1, SIGUSR2)));
            }
            send(SIGUSR1);
            const std::vector<int> got = co_await gather(std::move(waiting));
            EXPECT_EQ(std::vector<int>(6, SIGUSR1), got);
            EXPECT_TRUE(is_default(SIGUSR1));
        },
        3);
}

TEST(Signal, ACancelledWaitRestoresTheDefault) {
    run_io([]() -> Coro<> {
        Task<int> waiting = create_task(signal_wait(SIGUSR1));
        co_await turns();
        waiting.cancel();
        Result<int> ended = co_await as_result(waiting);
        EXPECT_FALSE(ended);
        EXPECT_TRUE(is_default(SIGUSR1));
        Task<int> unstarted = create_task(signal_wait(SIGUSR1));
        unstarted.cancel();
        Result<int> never = co_await as_result(unstarted);
        EXPECT_FALSE(never);
        EXPECT_TRUE(is_default(SIGUSR1));
    });
}

TEST(Signal, ThatCameBeforeTheCancellationIsNotLost) {
    run_io([]() -> Coro<> {
        const auto wait = []() -> Coro<int> {
            const int signal = co_await signal_wait(SIGUSR1);
            co_return signal;
        };
        Task<int> waiting = create_task(wait());
        co_await turns();
        send(SIGUSR1);
        co_await turns(1);  // handed on; the task has not run yet
        waiting.cancel();
        Result<int> got = co_await as_result(waiting);
        // A signal that the wait did not take would have ended this process.
        EXPECT_TRUE(is_default(SIGUSR1));
        EXPECT_TRUE(got ? got.value() == SIGUSR1 : true);
    });
}

std::atomic<int> g_default_count{0};

TEST(Signal, ThatNobodyTookDoesWhatItDoesWithoutKnit) {
    g_default_count = 0;
    const auto before = std::signal(SIGUSR1, [](int) { ++g_default_count; });
    run_io([]() -> Coro<> {
        {
            auto dropped = signal_wait(SIGUSR1);
            send(SIGUSR1);
            EXPECT_EQ(0, g_default_count);
        }
        EXPECT_EQ(1, g_default_count);
        send(SIGUSR1);
        EXPECT_EQ(2, g_default_count);
        co_return;
    });
    std::signal(SIGUSR1, before);
}

TEST(Signal, ThatWasGivenToAWaitThatIsDroppedDoesWhatItDoesWithoutKnit) {
    g_default_count = 0;
    const auto before = std::signal(SIGUSR1, [](int) { ++g_default_count; });
    run_io([]() -> Coro<> {
        Task<int> other = create_task(signal_wait(SIGUSR2));
        co_await turns();
        {
            auto dropped = signal_wait(SIGUSR1);
            send(SIGUSR1);
            co_await turns();  // on the way to the other one, who waits
            EXPECT_EQ(0, g_default_count);
        }
        EXPECT_EQ(1, g_default_count);
        other.cancel();
    });
    std::signal(SIGUSR1, before);
}

TEST(Signal, ThatCameForAHandlerWhichIsRemovedDoesWhatItDoesWithoutKnit) {
    g_default_count = 0;
    const auto before = std::signal(SIGUSR1, [](int) { ++g_default_count; });
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE() << "never"; });
        send(SIGUSR1);
        EXPECT_EQ(0, g_default_count);
        EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
        EXPECT_EQ(1, g_default_count);
        co_return;
    });
    std::signal(SIGUSR1, before);
}

TEST(Signal, CanBeTheWholeMain) {
    auto waiting = signal_wait(SIGUSR1);
    send(SIGUSR1);  // before there is any loop
    EXPECT_EQ(SIGUSR1, run(as_coro(std::move(waiting))));
    EXPECT_TRUE(is_default(SIGUSR1));
}

TEST(Signal, GoesBeforeTheShutdownOfTheRun) {
    RunOptions options;
    options.loops = 1;
    options.shutdown_signals = {SIGTERM};
    bool was_cancelled = false;
    const auto main = [&]() -> Coro<> {
        auto waiting = signal_wait(SIGTERM, SIGINT);
        send(SIGTERM);
        EXPECT_EQ(SIGTERM, co_await std::move(waiting));
        send(SIGTERM);  // the run's again
        try {
            co_await sleep(60s);
        } catch (const CancelledError&) {
            was_cancelled = true;
            throw;
        }
    };
    EXPECT_THROW(run(main, options), CancelledError);
    EXPECT_TRUE(was_cancelled);
    EXPECT_TRUE(is_default(SIGTERM));
    EXPECT_TRUE(is_default(SIGINT));
}

TEST(Signal, HandlersRunAsCallbacksAndNotInTheInterruptedCode) {
    Trace trace;
    run_io([&]() -> Coro<> {
        Loop& loop = get_running_loop();
        const auto add = [&trace](const std::string& what) {
            EXPECT_FALSE(current_task().has_value());
            trace.push_back(what);
        };
        loop.add_signal_handler(SIGUSR1, add, std::string("handler"));
        send(SIGUSR1);
        trace.push_back("interrupted code goes on");
        co_await turns();
        send(SIGUSR1);
        co_await turns();
        loop.add_signal_handler(SIGUSR1, add, std::string("another"));
        send(SIGUSR1);
        co_await turns();
        EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
        EXPECT_FALSE(loop.remove_signal_handler(SIGUSR1));
        EXPECT_TRUE(is_default(SIGUSR1));
    });
    EXPECT_EQ((Trace{"interrupted code goes on", "handler", "handler", "another"}), trace);
}

TEST(Signal, AHandlersErrorGoesToTheExceptionHandler) {
    std::string message;
    run_io([&]() -> Coro<> {
        Loop& loop = get_running_loop();
        loop.set_exception_handler([&](const ExceptionContext& context) { message = context.message; });
        loop.add_signal_handler(SIGUSR1, [] { throw ValueError("oh"); });
        send(SIGUSR1);
        co_await turns();
        EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
    });
    EXPECT_EQ(0U, message.find("Exception in callback")) << message;
}

TEST(Signal, NumbersThatAreNoneAndSignalsThatCannotBeCaughtAreRefused) {
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        const auto nothing = [] {};
        EXPECT_THROW(loop.add_signal_handler(0, nothing), ValueError);
        EXPECT_THROW(loop.add_signal_handler(NSIG + 1, nothing), ValueError);
        EXPECT_THROW(loop.add_signal_handler(32, nothing), ValueError);
        EXPECT_THROW(loop.add_signal_handler(SIGKILL, nothing), RuntimeError);
        EXPECT_THROW(static_cast<void>(signal_wait(SIGUSR1, SIGSTOP)), RuntimeError);
        EXPECT_THROW(static_cast<void>(signal_wait(-1)), ValueError);
        EXPECT_THROW(static_cast<void>(loop.remove_signal_handler(0)), ValueError);
        EXPECT_FALSE(loop.remove_signal_handler(SIGKILL));
        EXPECT_TRUE(is_default(SIGUSR1));
        try {
            loop.add_signal_handler(SIGKILL, nothing);
        } catch (const RuntimeError& error) {
            EXPECT_STREQ("sig 9 cannot be caught", error.what());
        }
        co_return;
    });
}

TEST(Signal, HandlersEndWithTheirLoop) {
    run_io([]() -> Coro<> {
        get_running_loop().add_signal_handler(SIGUSR1, [] { ADD_FAILURE() << "never"; });
        co_return;
    });
    EXPECT_TRUE(is_default(SIGUSR1));
}

TEST(Signal, AnyLoopMayHaveAHandlerAlsoOneOfAnotherThreadsRun) {
    std::atomic<int> count{0};
    run_io(
        [&]() -> Coro<> {
            Runtime& runtime = get_runtime();
            const auto watch = [&]() -> Coro<> {
                get_running_loop().add_signal_handler(SIGUSR1, [&] { ++count; });
                co_return;
            };
            co_await runtime.loop(0).create_task(watch());
            co_await runtime.loop(1).create_task(watch());
            auto other = to_thread([&] {
                run_io([&]() -> Coro<> {
                    Loop& loop = get_running_loop();
                    Event has_come;
                    loop.add_signal_handler(SIGUSR1, [&] {
                        ++count;
                        has_come.set();
                    });
                    send(SIGUSR1);
                    co_await has_come.wait();
                });
            });
            co_await std::move(other);
            while (count < 3) {
                co_await yield();
            }
        },
        2);
    EXPECT_EQ(3, count);
    EXPECT_TRUE(is_default(SIGUSR1));
}

TEST(Signal, AnActionThatTheProgramSetsMeanwhileStays) {
    g_default_count = 0;
    run_io([]() -> Coro<> {
        Loop& loop = get_running_loop();
        loop.add_signal_handler(SIGUSR1, [] { ADD_FAILURE() << "never"; });
        std::signal(SIGUSR1, [](int) { ++g_default_count; });
        EXPECT_TRUE(loop.remove_signal_handler(SIGUSR1));
        send(SIGUSR1);
        EXPECT_EQ(1, g_default_count);
        co_return;
    });
    std::signal(SIGUSR1, SIG_DFL);
}

/// It has a signal to itself: its wait, and with it the claim, is there for good.
TEST(Signal, OfAnAbandonedTaskReachesWhoWaitsForItLater) {
    const Logged logged;
    const int signal = SIGRTMIN + 5;
    RunOptions options;
    options.loops = 1;
    options.grace = 1us;
    run([signal]() -> Coro<> {
        create_task([signal]() -> Coro<> {
            for (;;) {
                const Result<int> ended = co_await as_result(signal_wait(signal));
                EXPECT_FALSE(ended);
            }
        });
        co_await turns();
    }, options);
    EXPECT_NE(std::string::npos, logged.text().find("abandoned"));
    run_io([signal]() -> Coro<> {
        Task<int> waiting = create_task(signal_wait(signal));
        co_await turns();
        send(signal);
        EXPECT_EQ(signal, co_await wait_for(waiting, 20s));
    });
}

TEST(Signal, ManySignalsFromManyThreadsReachTheirWaiters) {
    std::atomic<int> count{0};
    run_io(
        [&]() -> Coro<> {
            get_running_loop().add_signal_handler(SIGUSR1, [&] { ++count; });
            const auto waiter = [&]() -> Coro<> {
                for (int round = 0; round < 50; ++round) {
                    Task<int> waiting = create_task(signal_wait(SIGUSR1));
                    co_await turns(round % 3);
                    if (round % 2 == 0) {
                        waiting.cancel();
                        static_cast<void>(co_await as_result(std::move(waiting)));
                    } else {
                        send(SIGUSR1);
                        EXPECT_EQ(SIGUSR1, co_await waiting);
                    }
                }
            };
            std::vector<Task<>> waiters;
            for (std::size_t index = 0; index < 6; ++index) {
                waiters.push_back(get_runtime().loop(index % 3).create_task(waiter()));
            }
            co_await gather(std::move(waiters));
            EXPECT_TRUE(get_running_loop().remove_signal_handler(SIGUSR1));
        },
        3);
    EXPECT_GT(count, 0);
    EXPECT_TRUE(is_default(SIGUSR1));
}

}  // namespace
}  // namespace knit::test
