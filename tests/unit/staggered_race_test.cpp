// staggered_race().

#include "time_test.hpp"

#include <functional>
#include <string>
#include <vector>

namespace knit::test {
namespace {

using Attempts = std::vector<std::function<Coro<int>()>>;

std::function<Coro<int>()> attempt(Trace& log, Duration delay, int value) {
    return [&log, delay, value]() -> Coro<int> {
        log("start " + std::to_string(value));
        try {
            co_await sleep(delay);
        } catch (const CancelledError&) {
            log("cancelled " + std::to_string(value));
            throw;
        }
        if (value < 0) {
            throw Err(std::to_string(value));
        }
        co_return value;
    };
}
template <class... A>
Attempts attempts(A... each) {
    Attempts all;
    (all.push_back(std::move(each)), ...);
    return all;
}

// STAGGER-01
CO_TEST(StaggeredRace, StartsTheNextAfterTheDelayAndCancelsTheOthers) {
    Trace log;
    const TimePoint start = now();
    auto result = co_await staggered_race(attempts(attempt(log, 10s, 0), attempt(log, 1ms, 1)), 5ms);
    EXPECT_EQ(now() - start, 6ms);
    EXPECT_EQ(result.winner, 1);
    EXPECT_EQ(result.index, 1U);
    EXPECT_EQ(result.exceptions.size(), 2U);
    EXPECT_EQ(error_text(result.exceptions[0]), "!CancelledError");
    EXPECT_EQ(result.exceptions[1], nullptr);
    EXPECT_EQ(timers(), 0U);
    EXPECT_TRUE(log.shows({"start 0", "start 1", "cancelled 0"}));
}

// STAGGER-02
CO_TEST(StaggeredRace, TheFirstToSucceedKeepsTheOthersFromStarting) {
    Trace log;
    auto result = co_await staggered_race(attempts(attempt(log, 1ms, 0), attempt(log, 1ms, 1)), 5ms);
    EXPECT_EQ(result.winner, 0);
    EXPECT_EQ(result.index, 0U);
    EXPECT_EQ(result.exceptions.size(), 1U);
    EXPECT_TRUE(log.shows({"start 0"}));
}

CO_TEST(StaggeredRace, AFailureStartsTheNextAtOnce) {
    Trace log;
    const TimePoint start = now();
    auto result = co_await staggered_race(attempts(attempt(log, 1ms, -1), attempt(log, 1ms, 1)), 1h);
    EXPECT_EQ(now() - start, 2ms);
    EXPECT_EQ(result.index, 1U);
    EXPECT_EQ(error_text(result.exceptions[0], true), "!Err(-1)");
}

CO_TEST(StaggeredRace, WithoutADelayStartsTheNextOnlyAfterAFailure) {
    Trace log;
    auto result = co_await staggered_race(attempts(attempt(log, 1h, -1), attempt(log, 1ms, 1)));
    EXPECT_EQ(result.index, 1U);
    EXPECT_TRUE(log.shows({"start -1", "start 1"}));
}

CO_TEST(StaggeredRace, OfNoDelayStartsAllAtOnce) {
    Trace log;
    const TimePoint start = now();
    auto result =
        co_await staggered_race(attempts(attempt(log, 9ms, 0), attempt(log, 5ms, 1), attempt(log, 7ms, 2)), 0s);
    EXPECT_EQ(now() - start, 5ms);
    EXPECT_EQ(result.winner, 1);
    EXPECT_EQ(result.exceptions.size(), 3U);
}

CO_TEST(StaggeredRace, AnEarlierAttemptMayStillWin) {
    Trace log;
    auto result = co_await staggered_race(attempts(attempt(log, 8ms, 0), attempt(log, 1h, 1)), 5ms);
    EXPECT_EQ(result.winner, 0);
    EXPECT_EQ(error_text(result.exceptions[1]), "!CancelledError");
}

// STAGGER-03
CO_TEST(StaggeredRace, WithoutAWinnerGivesTheExceptions) {
    Trace log;
    auto result = co_await staggered_race(attempts(attempt(log, 1ms, -1), attempt(log, 1ms, -2)));
    EXPECT_FALSE(result.winner || result.index);
    EXPECT_EQ(result.exceptions.size(), 2U);
    EXPECT_EQ(error_text(result.exceptions[1], true), "!Err(-2)");
    auto none = co_await staggered_race(Attempts());
    EXPECT_FALSE(none.winner || none.index);
    EXPECT_TRUE(none.exceptions.empty());
}

CO_TEST(StaggeredRace, CancelledCancelsTheAttemptsAndWaitsForThem) {
    Trace log;
    auto race = create_task([&]() -> Coro<> {
        co_await staggered_race(attempts(attempt(log, 1h, 0), attempt(log, 1h, 1), attempt(log, 1h, 2)), 5ms);
    });
    co_await sleep(7ms);
    race.cancel("stop");
    log(co_await got_message(race));
    EXPECT_EQ(timers(), 0U);
    EXPECT_EQ(all_tasks().size(), 1U);
    EXPECT_TRUE(log.shows({"start 0", "start 1", "cancelled 0", "cancelled 1", "!CancelledError(stop)"}));
}

CO_TEST(StaggeredRace, OfAttemptsWithoutAValue) {
    std::vector<std::function<Coro<>()>> all;
    all.emplace_back([]() -> Coro<> { throw Err("x"); });
    all.emplace_back([]() -> Coro<> { co_return; });
    const auto result = co_await staggered_race(std::move(all));
    EXPECT_EQ(result.winner, Unit{});
    EXPECT_EQ(result.index, 1U);
}

TEST(StaggeredRace, LetsAKeyboardInterruptOut) {
    EXPECT_THROW(run_one([]() -> Coro<> {
                     Attempts all;
                     all.emplace_back([]() -> Coro<int> {
                         co_await sleep(1ms);
                         throw KeyboardInterrupt();
                     });
                     co_await staggered_race(std::move(all));
                 }),
                 KeyboardInterrupt);
}

CO_TEST_ON_LOOPS(StaggeredRace, AnAttemptMayGoToAnotherLoop) {
    Loop& start = get_running_loop();
    const auto wandering = [](Duration delay, int value) -> std::function<Coro<int>()> {
        return [delay, value]() -> Coro<int> {
            Runtime& runtime = get_runtime();
            co_await resume_on(runtime.loop(static_cast<std::size_t>(value) % runtime.size()));
            co_await sleep(delay);
            if (value == 1) {
                throw Err("one");
            }
            co_return value;
        };
    };
    auto result =
        co_await staggered_race(attempts(wandering(1h, 3), wandering(2ms, 1), wandering(1ms, 2)), 5ms);
    EXPECT_EQ(&get_running_loop(), &start);
    EXPECT_EQ(result.winner, 2);
    EXPECT_EQ(error_text(result.exceptions[0]), "!CancelledError");
    EXPECT_EQ(error_text(result.exceptions[1]), "!Err");
}

}  // namespace
}  // namespace knit::test
