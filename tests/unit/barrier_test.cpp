// Barrier.

#include "co_test.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Barrier> && !std::is_move_constructible_v<Barrier>);

constinit Barrier g_barrier(3);

std::vector<int> sorted(std::vector<int> values) {
    std::ranges::sort(values);
    return values;
}
std::vector<int> first_numbers(int count) {
    std::vector<int> numbers;
    for (int number = 0; number < count; ++number) {
        numbers.push_back(number);
    }
    return numbers;
}
/// What the wait gives, with the barrier's own error by name.
Coro<std::string> arrival(Task<int> task) {
    try {
        const int index = co_await task;
        co_return std::to_string(index);
    } catch (const BrokenBarrierError& error) {
        co_return std::string("!BrokenBarrierError(") + error.what() + ")";
    } catch (const CancelledError&) {
        co_return "!CancelledError";
    }
}
std::vector<Task<int>> arrivals(Barrier& barrier, int count) {
    std::vector<Task<int>> tasks;
    for (int index = 0; index < count; ++index) {
        tasks.push_back(create_task(barrier.wait()));
    }
    return tasks;
}
Coro<> pass_and_log(Barrier& barrier, Trace& log, std::string name) {
    co_await barrier.wait();
    log(name);
}

// BARRIER-01
CO_TEST(Barrier, WaitsUntilAllHaveArrived) {
    Barrier barrier(3);
    std::vector<Task<int>> tasks = arrivals(barrier, 2);
    co_await tick(2);
    EXPECT_EQ(barrier.n_waiting(), 2U);
    EXPECT_FALSE(tasks[0].done());
    tasks.push_back(create_task(barrier.wait()));
    EXPECT_EQ(co_await gather(tasks), first_numbers(3));
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_FALSE(barrier.broken());
}

CO_TEST(Barrier, TheLastToArriveGoesOnAtOnceAndTheOthersFollowInTheirOrder) {
    Barrier barrier(3);
    Trace log;
    const Task<> a = create_task(pass_and_log(barrier, log, "a"));
    const Task<> b = create_task(pass_and_log(barrier, log, "b"));
    co_await tick(1);
    get_running_loop().call_soon([&] { log("loop"); });
    const int index = co_await barrier.wait();
    EXPECT_EQ(index, 2);
    log("last");
    EXPECT_EQ(barrier.n_waiting(), 0U);
    co_await gather(a, b);
    EXPECT_TRUE(log.shows({"last", "loop", "a", "b"}));
}

// BARRIER-02
CO_TEST(Barrier, NeedsAtLeastOneParty) {
    EXPECT_EQ(call_message([] { Barrier barrier(0); }), "!ValueError(parties must be > 0)");
    EXPECT_EQ(call_message([] { Barrier barrier(-4); }), "!ValueError(parties must be > 0)");
    Barrier barrier(1);
    const int first = co_await barrier.wait();
    const int second = co_await barrier.wait();
    EXPECT_EQ(first + second, 0);
    EXPECT_EQ(barrier.parties(), 1U);
}

// BARRIER-03
CO_TEST(Barrier, CanBePassedAgainAndAgainByTheSameTasks) {
    Barrier barrier(3);
    Trace log;
    const auto rounds = [&]() -> Coro<> {
        for (int round = 0; round < 3; ++round) {
            co_await barrier.wait();
            log(round);
        }
    };
    co_await gather(rounds(), rounds(), rounds());
    EXPECT_TRUE(log.shows({"0", "0", "0", "1", "1", "1", "2", "2", "2"}));
}

// BARRIER-04, with the indices that asyncio's documentation promises
CO_TEST(Barrier, AWaiterThatIsCancelledLeavesItsPlaceToAnotherOne) {
    for (const std::size_t cancelled : {0U, 1U}) {
        Barrier barrier(3);
        std::vector<Task<int>> tasks = arrivals(barrier, 2);
        co_await tick(2);
        tasks[cancelled].cancel();
        EXPECT_EQ(co_await arrival(tasks[cancelled]), "!CancelledError");
        EXPECT_EQ(barrier.n_waiting(), 1U);
        EXPECT_FALSE(barrier.broken());
        tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(cancelled));
        tasks.push_back(create_task(barrier.wait()));
        tasks.push_back(create_task(barrier.wait()));
        EXPECT_EQ(co_await gather(tasks), first_numbers(3));
        EXPECT_EQ(barrier.n_waiting(), 0U);
    }
}

CO_TEST(Barrier, AWaiterThatIsCancelledAfterTheRoundIsCompleteDoesNotHoldUpTheNext) {
    Barrier barrier(3);
    std::vector<Task<int>> tasks = arrivals(barrier, 2);
    co_await tick(2);
    co_await barrier.wait();
    tasks[0].cancel();
    EXPECT_EQ(co_await arrival(tasks[0]), "!CancelledError");
    EXPECT_EQ(co_await arrival(tasks[1]), "1");
    EXPECT_EQ(co_await gather(arrivals(barrier, 3)), first_numbers(3));
}

CO_TEST(Barrier, IsEmptyAgainWhenTheOnlyWaiterIsCancelled) {
    Barrier barrier(2);
    std::vector<Task<int>> tasks = arrivals(barrier, 1);
    co_await tick(1);
    tasks[0].cancel();
    EXPECT_EQ(co_await arrival(tasks[0]), "!CancelledError");
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_EQ(co_await gather(arrivals(barrier, 2)), first_numbers(2));
}

// BARRIER-05
CO_TEST(Barrier, ResetBreaksTheWaitOfAllAndMakesItUsableAgain) {
    Barrier barrier(3);
    co_await barrier.reset();
    const std::vector<Task<int>> tasks = arrivals(barrier, 2);
    co_await tick(2);
    co_await barrier.reset();
    EXPECT_EQ(barrier.n_waiting(), 0U);
    for (const Task<int>& task : tasks) {
        EXPECT_EQ(co_await arrival(task), "!BrokenBarrierError(Abort or reset of barrier)");
    }
    EXPECT_FALSE(barrier.broken());
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_EQ(sorted(co_await gather(arrivals(barrier, 3))), first_numbers(3));
}

CO_TEST(Barrier, ResetAlsoBreaksWhoHasNotLeftACompleteRound) {
    Barrier barrier(2);
    const std::vector<Task<int>> tasks = arrivals(barrier, 1);
    co_await tick(1);
    co_await barrier.wait();
    co_await barrier.reset();
    EXPECT_EQ(co_await arrival(tasks[0]), "!BrokenBarrierError(Abort or reset of barrier)");
    EXPECT_EQ(co_await gather(arrivals(barrier, 2)), first_numbers(2));
}

CO_TEST(Barrier, ResetAndAbortAreLazyAndDoNotSuspend) {
    Barrier barrier(2);
    Trace log;
    get_running_loop().call_soon([&] { log("loop ran"); });
    { const Coro<> unused = barrier.abort(); }
    EXPECT_FALSE(barrier.broken());
    co_await barrier.abort();
    EXPECT_TRUE(barrier.broken());
    co_await barrier.reset();
    EXPECT_FALSE(barrier.broken());
    log("not suspended");
    co_await tick(1);
    EXPECT_TRUE(log.shows({"not suspended", "loop ran"}));
}

CO_TEST(Barrier, AbortBreaksWhoWaitsAndWhoComesUntilItIsReset) {
    Barrier barrier(3);
    const std::vector<Task<int>> tasks = arrivals(barrier, 2);
    co_await tick(1);
    co_await barrier.abort();
    EXPECT_TRUE(barrier.broken());
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_EQ(co_await arrival(create_task(barrier.wait())), "!BrokenBarrierError(Barrier aborted)");
    for (const Task<int>& task : tasks) {
        EXPECT_EQ(co_await arrival(task), "!BrokenBarrierError(Abort or reset of barrier)");
    }
    EXPECT_TRUE(barrier.broken());
    co_await barrier.reset();
    EXPECT_FALSE(barrier.broken());
    EXPECT_EQ(co_await gather(arrivals(barrier, 3)), first_numbers(3));
}

CO_TEST(Barrier, AbortAlsoBreaksWhoWaitsForTheNextRound) {
    Barrier barrier(2);
    std::vector<Task<int>> tasks = arrivals(barrier, 1);
    co_await tick(1);
    tasks.push_back(create_task(barrier.wait()));  // runs before the first one is woken
    const int index = co_await barrier.wait();
    const Task<> aborting = create_task(barrier.abort());
    EXPECT_EQ(index, 1);
    EXPECT_EQ(co_await arrival(tasks[0]), "0");
    EXPECT_EQ(co_await arrival(tasks[1]), "!BrokenBarrierError(Barrier aborted)");
    EXPECT_TRUE(aborting.done());
}

// BARRIER-08
CO_TEST(Barrier, WhoArrivesWhileARoundIsLeavingBelongsToTheNext) {
    Barrier barrier(2);
    Trace log;
    co_await gather(pass_and_log(barrier, log, "a1"), pass_and_log(barrier, log, "b1"),
                    pass_and_log(barrier, log, "a2"), pass_and_log(barrier, log, "b2"));
    const std::vector<std::string> lines = log.lines();
    EXPECT_EQ(std::set<std::string>(lines.begin(), lines.begin() + 2), (std::set<std::string>{"a1", "b1"}));
    EXPECT_EQ(std::set<std::string>(lines.begin() + 2, lines.end()), (std::set<std::string>{"a2", "b2"}));
    EXPECT_EQ(barrier.n_waiting(), 0U);
}

CO_TEST(Barrier, WhoIsCancelledWhileItWaitsForTheNextRoundWasNeverThere) {
    Barrier barrier(2);
    std::vector<Task<int>> tasks = arrivals(barrier, 1);
    co_await tick(1);
    tasks.push_back(create_task(barrier.wait()));  // runs before the first one is woken
    get_running_loop().call_soon([&] { tasks[1].cancel(); });
    co_await barrier.wait();
    EXPECT_EQ(co_await arrival(tasks[0]), "0");
    EXPECT_EQ(co_await arrival(tasks[1]), "!CancelledError");
    EXPECT_EQ(barrier.n_waiting(), 0U);
    EXPECT_EQ(co_await gather(arrivals(barrier, 2)), first_numbers(2));
}

// BARRIER-09
CO_TEST(Barrier, AsAScopeItGivesTheIndex) {
    Barrier barrier(2);
    const auto enter = [&]() -> Coro<int> {
        const int index = co_await barrier.scoped();
        co_return index;
    };
    const auto [one, two] = co_await gather(enter(), enter());
    EXPECT_EQ(one, 0);
    EXPECT_EQ(two, 1);
}

// BARRIER-10
CO_TEST(Barrier, WhoseWaitWasResetMayWaitAgainAtOnce) {
    Barrier barrier(2);
    Trace log;
    const auto wait_twice = [&]() -> Coro<> {
        try {
            co_await barrier.wait();
        } catch (const BrokenBarrierError&) {
            log("broken");
        }
        co_await barrier.wait();
        log("passed");
    };
    const Task<> task = create_task(wait_twice());
    co_await tick(2);
    co_await barrier.reset();
    co_await tick(2);
    co_await barrier.wait();
    co_await task;
    EXPECT_TRUE(log.shows({"broken", "passed"}));
}

TEST(Barrier, ServesOneRuntimeAfterAnother) {
    const auto use = []() -> Coro<std::vector<int>> { co_return co_await gather(arrivals(g_barrier, 3)); };
    EXPECT_EQ(run_one(use), first_numbers(3));
    EXPECT_EQ(run_one(use), first_numbers(3));
}

// Across loops.

Coro<> go_rounds(Barrier& barrier, std::vector<std::vector<int>>& indices, int& arrived, int parties) {
    Loop& home = get_running_loop();
    for (std::size_t round = 0; round < indices.size(); ++round) {
        ++arrived;  // the fake driver turns all loops on one thread
        const int index = co_await barrier.wait();
        EXPECT_EQ(&get_running_loop(), &home);
        EXPECT_GE(arrived, parties * static_cast<int>(round + 1));
        indices[round].push_back(index);
    }
}

CO_TEST_ON_LOOPS(BarrierOnLoops, LetsNobodyGoBeforeAllHaveArrivedAndGivesEachIndexOnce) {
    constexpr int kParties = 6;
    Barrier barrier(kParties);
    std::vector<std::vector<int>> indices(10);
    int arrived = 0;
    std::vector<Task<>> tasks;
    for (int party = 0; party < kParties; ++party) {
        tasks.push_back(spawn(go_rounds(barrier, indices, arrived, kParties)));
    }
    co_await gather(tasks);
    for (const std::vector<int>& round : indices) {
        EXPECT_EQ(sorted(round), first_numbers(kParties));
    }
    EXPECT_EQ(barrier.n_waiting(), 0U);
}

CO_TEST_ON_LOOPS(BarrierOnLoops, GivesEachIndexOnceHoweverWaitersAreCancelled) {
    Runtime& runtime = get_runtime();
    for (unsigned mask = 0; mask < 16; ++mask) {
        Barrier barrier(5);
        std::vector<Task<int>> tasks;
        const auto arrive = [&] {
            Loop& loop = runtime.loop(tasks.size() % runtime.size());
            tasks.push_back(create_task(barrier.wait(), {.loop = &loop}));
        };
        for (int count = 0; count < 4; ++count) {
            arrive();
        }
        while (barrier.n_waiting() < 4) {
            co_await tick(1);
        }
        for (unsigned index = 0; index < 4; ++index) {
            if ((mask >> index & 1U) != 0) {
                tasks[index].cancel();
                EXPECT_EQ(co_await arrival(tasks[index]), "!CancelledError");
                arrive();
            }
        }
        arrive();
        std::vector<int> indices;
        for (const Task<int>& task : tasks) {
            if (!task.cancelled()) {
                indices.push_back(co_await task);
            }
        }
        EXPECT_EQ(sorted(indices), first_numbers(5));
    }
}

CO_TEST_ON_LOOPS(BarrierOnLoops, ResetBreaksTheWaitsOfAllLoops) {
    Runtime& runtime = get_runtime();
    Barrier barrier(8);
    std::vector<Task<int>> tasks;
    for (std::size_t index = 0; index < 7; ++index) {
        Loop& loop = runtime.loop(index % runtime.size());
        tasks.push_back(create_task(barrier.wait(), {.loop = &loop}));
    }
    while (barrier.n_waiting() < 7) {
        co_await tick(1);
    }
    co_await barrier.reset();
    for (const Task<int>& task : tasks) {
        EXPECT_EQ(co_await arrival(task), "!BrokenBarrierError(Abort or reset of barrier)");
    }
    EXPECT_EQ(sorted(co_await gather(arrivals(barrier, 8))), first_numbers(8));
}

}  // namespace
}  // namespace knit::test
