// Deadlines that come as the work ends, while it moves between loops; waits, shields and as_completed() over the tasks
// of all loops. What must hold: each ends, by itself, in one of the ways that are allowed, and leaves no request for
// cancellation behind. KNIT_STRESS_MS: how long each test runs; KNIT_STRESS_SEED: a seed that was printed.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::chrono::milliseconds test_time() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::milliseconds(text != nullptr ? std::stol(text) : 250);
}

std::uint64_t test_seed() {
    const char* const text = std::getenv("KNIT_STRESS_SEED");
    const std::uint64_t seed = text != nullptr ? std::stoull(text)
                                               : static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
    std::cout << "seed " << seed << '\n';
    return seed;
}

class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed * 0x9e3779b97f4a7c15U | 1U) {}
    unsigned below(unsigned limit) noexcept { return static_cast<unsigned>((next() >> 20) % limit); }
    std::chrono::microseconds pause(unsigned limit) noexcept { return std::chrono::microseconds(below(limit)); }
    std::uint64_t next() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

private:
    std::uint64_t state_;
};

knit::Loop& some_loop(Random& random) {
    knit::Runtime& runtime = knit::get_runtime();
    return runtime.loop(random.below(static_cast<unsigned>(runtime.size())));
}

int cancelling() { return knit::current_task()->cancelling(); }

knit::Coro<int> work(std::chrono::microseconds time, int value) {
    co_await knit::sleep(time);
    co_return value;
}

/// A body that goes here and there and ends about when its deadline comes.
knit::Coro<int> wander(knit::Timeout& timeout, std::uint64_t seed) {
    Random random(seed);
    for (unsigned steps = random.below(5); steps > 0; --steps) {
        switch (random.below(6)) {
            case 0: co_await knit::resume_on(some_loop(random)); break;
            case 1: co_await knit::reschedule(); break;
            case 2: co_await knit::sleep(random.pause(60)); break;
            case 3: co_await knit::spawn(work(random.pause(60), 1)); break;
            case 4:
                if (!timeout.expired()) {
                    timeout.reschedule(knit::get_running_loop().time() + random.pause(100));
                }
                break;
            default: co_await knit::yield();
        }
    }
    co_return 1;
}

/// One scope within another; only TimeoutError may come out, and nothing may stay behind.
knit::Coro<int> race_deadlines(std::uint64_t seed) {
    Random random(seed);
    int ended = 0;
    for (int round = 0; round < 10; ++round) {
        try {
            ended += co_await knit::timeout_scope(random.pause(200), [&](knit::Timeout&) -> knit::Coro<int> {
                co_await knit::resume_on(some_loop(random));
                co_return co_await knit::timeout_scope(
                    random.pause(150), [&](knit::Timeout& inner) { return wander(inner, random.next()); });
            });
        } catch (const knit::TimeoutError&) {
            ++ended;
        }
        EXPECT_EQ(cancelling(), 0);
        co_await knit::yield();  // a request that nobody wanted would show here
    }
    co_return ended;
}

knit::Coro<> all_race_deadlines(std::uint64_t seed) {
    Random random(seed);
    const Clock::time_point end = Clock::now() + test_time();
    do {
        std::vector<knit::Task<int>> tasks;
        for (int count = 0; count < 20; ++count) {
            tasks.push_back(knit::spawn(race_deadlines(random.next())));
        }
        for (const int ended : co_await knit::gather(std::move(tasks))) {
            EXPECT_EQ(ended, 10);
        }
    } while (Clock::now() < end);
}

/// The child ends about when the limit comes; whoever waits gets one or the other, and the child's end.
knit::Coro<> race_wait_for(std::uint64_t seed) {
    Random random(seed);
    for (int round = 0; round < 10; ++round) {
        knit::Task<int> child = knit::spawn(work(random.pause(100), 1));
        std::string result;
        try {
            result = std::to_string(co_await knit::wait_for(child, random.pause(100)));
        } catch (const knit::TimeoutError&) {
            result = "timeout";
        }
        EXPECT_TRUE(child.done());
        EXPECT_TRUE(result == "1" || (result == "timeout" && cancelling() == 0)) << result;
    }
}

knit::Coro<> race_waits(std::uint64_t seed) {
    Random random(seed);
    std::vector<knit::Task<int>> tasks;
    for (int number = 0; number < 8; ++number) {
        tasks.push_back(random.below(2) == 0
                            ? knit::spawn(work(random.pause(200), number))
                            : knit::create_task(work(random.pause(200), number), {.loop = &some_loop(random)}));
    }
    knit::WaitOptions options;
    options.return_when = random.below(2) == 0 ? knit::FIRST_COMPLETED : knit::ALL_COMPLETED;
    for (std::vector<knit::Task<int>> pending = tasks; !pending.empty();) {
        options.timeout = random.pause(150);
        const knit::WaitResult<knit::Task<int>> result = co_await knit::wait(pending, options);
        EXPECT_EQ(result.done.size() + result.pending.size(), pending.size());
        for (const knit::Task<int>& task : result.done) {
            EXPECT_TRUE(task.done());
        }
        pending = result.pending;
    }
}

knit::Coro<> race_shields(std::uint64_t seed) {
    Random random(seed);
    for (int round = 0; round < 10; ++round) {
        const knit::Task<int> inner = knit::spawn(work(random.pause(100), round));
        knit::Task<int> outer = knit::spawn(
            [inner]() -> knit::Coro<int> { co_return co_await knit::shield(inner); });
        knit::Future<int> handle = knit::shield(inner);
        co_await knit::sleep(random.pause(100));
        outer.cancel();
        static_cast<void>(knit::spawn([handle]() mutable -> knit::Coro<> {
            handle.cancel();
            co_return;
        }));
        const knit::Result<int> result = co_await knit::as_result(outer);
        EXPECT_TRUE(!result.has_value() || result.value_or(-1) == round);
        const knit::Result<int> other = co_await knit::as_result(handle);
        EXPECT_TRUE(!other.has_value() || other.value_or(-1) == round);
        EXPECT_EQ(co_await inner, round);  // whatever became of the shields
    }
}

knit::Coro<> race_as_completed(std::uint64_t seed) {
    Random random(seed);
    std::vector<knit::Task<int>> tasks;
    for (int number = 0; number < 8; ++number) {
        tasks.push_back(knit::spawn(work(random.pause(200), 1)));
    }
    knit::AsCompletedOptions options;
    options.timeout = random.below(2) == 0 ? 1h : knit::Duration(random.pause(200));
    auto results = knit::as_completed(tasks, options);
    std::vector<knit::Task<int>> takers;
    while (auto next = results.next()) {
        takers.push_back(knit::spawn(std::move(*next)));
    }
    takers[random.below(8)].cancel();
    if (random.below(4) == 0) {
        co_return;  // the takers go on without us
    }
    co_await knit::wait(takers);
}

knit::Coro<> all_race(std::uint64_t seed) {
    Random random(seed);
    const Clock::time_point end = Clock::now() + test_time();
    do {
        std::vector<knit::Task<>> tasks;
        for (int count = 0; count < 5; ++count) {
            tasks.push_back(knit::spawn(race_wait_for(random.next())));
            tasks.push_back(knit::spawn(race_waits(random.next())));
            tasks.push_back(knit::spawn(race_shields(random.next())));
            tasks.push_back(knit::spawn(race_as_completed(random.next())));
        }
        // A few are cancelled in the middle of it.
        co_await knit::sleep(random.pause(300));
        for (int count = 0; count < 3; ++count) {
            tasks[random.below(20)].cancel();
        }
        co_await knit::wait(tasks);
    } while (Clock::now() < end);
}

class TimeoutStress : public testing::TestWithParam<unsigned> {
protected:
    static knit::RunOptions options() {
        knit::RunOptions chosen;
        chosen.loops = GetParam();
        chosen.exception_handler = [](const knit::ExceptionContext&) {};
        return chosen;
    }
};

TEST_P(TimeoutStress, ADeadlineTakesHoldOrNotWhereverTheBodyIs) {
    knit::run(all_race_deadlines(test_seed()), options());
}

TEST_P(TimeoutStress, WaitsAndShieldsEndWhateverTheLoopsOfTheirTasks) {
    knit::run(all_race(test_seed()), options());
}

knit::Coro<> leave_scopes_behind(std::uint64_t seed) {
    Random random(seed);
    for (int count = 0; count < 20; ++count) {
        static_cast<void>(knit::spawn(race_deadlines(random.next())));
    }
    co_await knit::sleep(random.pause(1000));
}

TEST_P(TimeoutStress, ARunEndsWithScopesOpenOnAllLoops) {
    std::uint64_t seed = test_seed();
    const Clock::time_point end = Clock::now() + test_time();
    do {
        knit::run(leave_scopes_behind(seed++), options());
    } while (Clock::now() < end);
}

INSTANTIATE_TEST_SUITE_P(Loops, TimeoutStress, testing::Values(1U, 2U, 8U), testing::PrintToStringParamName());

}  // namespace
