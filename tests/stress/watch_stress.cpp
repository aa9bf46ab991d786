// The watchdog and the dump on real threads: a task blocks its loop until the report about it has come, so that nothing
// depends on time; without the report the test would wait until its ctest gives up.

#include <gtest/gtest.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <iterator>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;

/// The warnings of the process, as long as this lives. Any thread waits for one.
class Warnings {
public:
    Warnings() {
        knit::set_log_sink([this](const knit::LogRecord& record) {
            const std::lock_guard lock(mutex_);
            if (record.level == knit::LogLevel::warning) {
                messages_.push_back(record.message);
            }
            changed_.notify_all();
        });
    }
    ~Warnings() { knit::set_log_sink({}); }
    Warnings(const Warnings&) = delete;
    Warnings& operator=(const Warnings&) = delete;

    /// Blocks until there are `count` with `part` in them: on a busy machine other steps may seem slow as well.
    void wait(std::string_view part, std::size_t count = 1) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return with_locked(part).size() >= count; });
    }
    std::vector<std::string> with(std::string_view part) {
        const std::lock_guard lock(mutex_);
        return with_locked(part);
    }

private:
    std::vector<std::string> with_locked(std::string_view part) const {
        std::vector<std::string> found;
        std::ranges::copy_if(messages_, std::back_inserter(found),
                             [&](const std::string& message) { return message.find(part) != std::string::npos; });
        return found;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> messages_;
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

knit::RunOptions options_of(unsigned loops) {
    knit::RunOptions options;
    options.loops = loops;
    options.slow_task = 10ms;
    return options;
}

knit::Coro<> block_until(Warnings& warnings, std::size_t count) {
    co_await knit::yield();
    warnings.wait("block_until()", count);
}
knit::Coro<> outer(Warnings& warnings, std::size_t count) { co_await block_until(warnings, count); }

TEST(WatchStress, ATaskThatBlocksItsLoopIsNamedWhileItDoes) {
    Warnings warnings;
    knit::run([&]() -> knit::Coro<> { co_await knit::create_task(outer(warnings, 1), {.name = "culprit"}); },
              options_of(1));
    const std::vector<std::string> messages = warnings.with("block_until()");
    ASSERT_EQ(messages.size(), 1U);
    EXPECT_TRUE(messages[0].starts_with("loop 0 has been blocked for ")) << messages[0];
    EXPECT_TRUE(has(messages[0], " by <Task pending name='culprit' coro=<")) << messages[0];
    EXPECT_TRUE(has(messages[0], "block_until(), after the await at ")) << messages[0];
    EXPECT_TRUE(has(messages[0], "outer(), at the await at ")) << messages[0];
    EXPECT_LT(messages[0].find("block_until()"), messages[0].find("outer(), at"));
}

TEST(WatchStress, EachBlockedStepIsToldOfOnceOnWhateverLoop) {
    Warnings warnings;
    knit::run([&]() -> knit::Coro<> {
        knit::Runtime& runtime = knit::get_runtime();
        for (std::size_t round = 0; round < 4; ++round) {
            co_await knit::create_task(outer(warnings, round + 1), {.loop = &runtime.loop(round % 2)});
        }
    }, options_of(2));
    EXPECT_EQ(warnings.with("block_until()").size(), 4U);
}

knit::Coro<> block_first(Warnings& warnings) {
    co_await knit::yield();
    warnings.wait("block_second()");
}
knit::Coro<> block_second(Warnings& warnings) {
    while (warnings.with("block_first()").empty()) {
        co_await knit::yield();
    }
    co_await knit::yield();
    warnings.wait("block_second()");
}

/// The other loop's step begins when the first one has been told of, and is looked at several times, as that is.
TEST(WatchStress, AStepThatBlocksOnAfterItsReportIsNotToldOfAgain) {
    Warnings warnings;
    knit::run([&]() -> knit::Coro<> {
        const knit::Task<> second =
            knit::create_task(block_second(warnings), {.loop = &knit::get_runtime().loop(1)});
        co_await block_first(warnings);
        co_await second;
    }, options_of(2));
    EXPECT_EQ(warnings.with("block_first()").size(), 1U);
}

TEST(WatchStress, ACallbackThatBlocksItsLoopIsToldOf) {
    Warnings warnings;
    knit::run([&]() -> knit::Coro<> {
        knit::get_running_loop().call_soon([&] { warnings.wait(" by a callback"); });
        co_await knit::yield();
        co_await knit::yield();
    }, options_of(1));
    EXPECT_FALSE(warnings.with(" by a callback").empty());
}

TEST(WatchStress, ALoopThatWasIdleForLongIsWatchedAtOnceWhenItGoesOn) {
    Warnings warnings;
    knit::run([&]() -> knit::Coro<> {
        co_await knit::sleep(1500ms);  // the watchdog dozes
        co_await outer(warnings, 1);
    }, options_of(1));
    EXPECT_EQ(warnings.with("block_until()").size(), 1U);
}

TEST(WatchStress, SwitchedOffItSaysNothing) {
    Warnings warnings;
    knit::RunOptions options = options_of(1);
    options.slow_task = 0ms;
    knit::run([]() -> knit::Coro<> {
        std::this_thread::sleep_for(50ms);
        co_return;
    }, options);
    EXPECT_TRUE(warnings.with("").empty());
}

std::atomic<int> g_user_signals{0};
void count_signal(int) { g_user_signals.fetch_add(1); }

TEST(WatchStress, TheProgramsOwnHandlersGetTheirSignalsAndComeBack) {
    struct sigaction mine {};
    mine.sa_handler = &count_signal;
    ASSERT_EQ(sigaction(SIGURG, &mine, nullptr), 0);
    ASSERT_EQ(sigaction(SIGUSR1, &mine, nullptr), 0);
    g_user_signals = 0;
    knit::RunOptions options = options_of(1);
    options.dump_signal = SIGUSR1;
    Warnings warnings;
    knit::run([&]() -> knit::Coro<> {
        raise(SIGURG);
        co_await outer(warnings, 1);
        raise(SIGURG);
    }, options);
    EXPECT_EQ(g_user_signals, 2);
    for (const int signal : {SIGURG, SIGUSR1}) {
        struct sigaction now {};
        sigaction(signal, nullptr, &now);
        EXPECT_EQ(now.sa_handler, &count_signal) << signal;
        std::signal(signal, SIG_DFL);
    }
}

/// stderr goes into a pipe as long as this lives.
class ErrorPipe {
public:
    ErrorPipe() : saved_(dup(STDERR_FILENO)) {
        EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0);
        dup2(ends_[1], STDERR_FILENO);
    }
    ~ErrorPipe() {
        restore();
        close(ends_[0]);
    }
    ErrorPipe(const ErrorPipe&) = delete;
    ErrorPipe& operator=(const ErrorPipe&) = delete;
    void restore() {
        if (saved_ >= 0) {
            dup2(saved_, STDERR_FILENO);
            close(std::exchange(saved_, -1));
            close(ends_[1]);
        }
    }
    /// Reads until `end` has come.
    std::string read_until(std::string_view end) {
        std::string text;
        std::array<char, 4096> buffer;
        while (!has(text, end)) {
            const ssize_t count = read(ends_[0], buffer.data(), buffer.size());
            if (count <= 0) {
                break;
            }
            text.append(buffer.data(), static_cast<std::size_t>(count));
        }
        return text;
    }

private:
    int saved_;
    std::array<int, 2> ends_{};
};

knit::Coro<> serve_for_ever() { co_await knit::sleep(1000h); }

TEST(WatchStress, ASignalWritesAllTasksToStderr) {
    ErrorPipe errors;
    knit::RunOptions options = options_of(2);
    options.dump_signal = SIGUSR2;
    const std::string dump = knit::run([&]() -> knit::Coro<std::string> {
        const knit::Task<> here = knit::create_task(serve_for_ever(), {.name = "on loop 0"});
        knit::Loop& other = knit::get_runtime().loop(1);
        const knit::Task<> there = knit::create_task(serve_for_ever(), {.name = "on loop 1", .loop = &other});
        co_await knit::resume_on(other);  // behind that one's creation
        co_await knit::yield();
        co_await knit::resume_on(knit::get_runtime().loop(0));
        kill(getpid(), SIGUSR2);
        co_return co_await knit::to_thread([&] { return errors.read_until("\non loop 1: "); });
    }, options);
    errors.restore();
    EXPECT_TRUE(has(dump, "on 2 loops\n")) << dump;
    EXPECT_TRUE(has(dump, "\non loop 0: waiting for sleep since ")) << dump;
    EXPECT_TRUE(has(dump, "serve_for_ever()")) << dump;
}

TEST(WatchStress, ADumpSaysWhatALoopThatDoesNotAnswerIsBusyWith) {
    Warnings warnings;
    std::atomic<bool> is_blocking{false};
    std::atomic<bool> is_over{false};
    std::string dump;
    std::thread asker([&] {
        while (!is_blocking) {
            std::this_thread::yield();
        }
        dump = knit::dump_tasks();
        is_over = true;
    });
    knit::run([&]() -> knit::Coro<> {
        knit::current_task()->set_name("culprit");
        is_blocking = true;
        while (!is_over) {
            std::this_thread::sleep_for(1ms);
        }
        co_return;
    }, options_of(1));
    asker.join();
    EXPECT_TRUE(has(dump, "loop 0: does not answer: busy with <Task pending name='culprit' ")) << dump;
}

TEST(WatchStress, LoopsThatDumpAtTheSameTimeDoNotWaitForEachOtherForEver) {
    knit::RunOptions options = options_of(3);
    options.slow_task = 0ms;
    knit::run([]() -> knit::Coro<> {
        knit::Runtime& runtime = knit::get_runtime();
        std::vector<knit::Task<>> tasks;
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            tasks.push_back(knit::create_task([]() -> knit::Coro<> {
                for (int round = 0; round < 20; ++round) {
                    EXPECT_FALSE(knit::dump_tasks().empty());
                    EXPECT_FALSE((co_await knit::dump_tasks_async()).empty());
                    EXPECT_FALSE(knit::format_call_graph().empty());
                    co_await knit::yield();
                }
            }, {.loop = &runtime.loop(index)}));
        }
        co_await knit::gather(std::move(tasks));
    }, options);
}

knit::Coro<> move_about(std::chrono::steady_clock::time_point end) {
    while (std::chrono::steady_clock::now() < end) {
        co_await knit::reschedule();
        co_await knit::gather(knit::spawn(knit::sleep(10us)), knit::create_task(knit::yield()));
    }
}

TEST(WatchStress, RuntimesComeAndGoWhileOthersDumpAndProbe) {
    std::atomic<bool> is_over{false};
    Warnings warnings;
    std::thread dumper([&] {
        while (!is_over) {
            static_cast<void>(knit::dump_tasks());
        }
    });
    const auto end = std::chrono::steady_clock::now() + 300ms;
    while (std::chrono::steady_clock::now() < end) {
        knit::RunOptions options = options_of(2);
        options.slow_task = 1ms;
        knit::run([&]() -> knit::Coro<> {
            std::vector<knit::Task<>> tasks;
            for (int count = 0; count < 8; ++count) {
                tasks.push_back(knit::spawn(move_about(std::chrono::steady_clock::now() + 20ms)));
            }
            co_await knit::gather(std::move(tasks));
        }, options);
    }
    is_over = true;
    dumper.join();
}

}  // namespace
