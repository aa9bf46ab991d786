// Semaphore and BoundedSemaphore.

#include "co_test.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Semaphore> && !std::is_move_constructible_v<Semaphore>);
static_assert(std::is_base_of_v<Semaphore, BoundedSemaphore>);

constinit Semaphore g_semaphore(2);
constinit BoundedSemaphore g_bounded;

Coro<> acquire_and_log(Semaphore& semaphore, Trace& log, std::string name) {
    co_await semaphore.acquire();
    log(name);
}
std::vector<Task<>> acquirers(Semaphore& semaphore, Trace& log, std::vector<std::string> names) {
    std::vector<Task<>> tasks;
    for (const std::string& name : names) {
        tasks.push_back(create_task(acquire_and_log(semaphore, log, name)));
    }
    return tasks;
}

// SEMAPHORE-01
CO_TEST(Semaphore, AdmitsAsManyAsItsValueWithoutASuspension) {
    Semaphore semaphore(2);
    Trace log;
    get_running_loop().call_soon([&] { log("loop ran"); });
    const bool first = co_await semaphore.acquire();
    log(first, semaphore.locked());
    co_await semaphore.acquire();
    log(semaphore.locked());
    const Task<bool> task = create_task(semaphore.acquire());
    co_await tick(2);
    log(task.done());
    semaphore.release();
    log(co_await got(task), Semaphore(0).locked(), Semaphore().locked());
    EXPECT_TRUE(log.shows({"true", "false", "true", "loop ran", "false", "true", "true", "false"}));
}

CO_TEST(Semaphore, IsBoundedAlsoWhileSomebodyIsOnHisWay) {
    BoundedSemaphore bounded(1);
    co_await bounded.acquire();
    const Task<bool> waiter = create_task(bounded.acquire());
    co_await tick(1);
    bounded.release();  // given to the waiter, who has not gone on yet
    bounded.release();
    EXPECT_EQ(call_message([&] { bounded.release(); }), "!ValueError(BoundedSemaphore released too many times)");
    EXPECT_TRUE(co_await waiter);
}

// SEMAPHORE-02
CO_TEST(Semaphore, MayBeReleasedBeyondItsFirstValueUnlessItIsBounded) {
    Semaphore semaphore(1);
    semaphore.release();
    co_await semaphore.acquire();
    co_await semaphore.acquire();
    EXPECT_TRUE(semaphore.locked());
    BoundedSemaphore bounded(1);
    EXPECT_EQ(call_message([&] { bounded.release(); }), "!ValueError(BoundedSemaphore released too many times)");
    co_await bounded.acquire();
    bounded.release();
    EXPECT_EQ(call([&] { static_cast<Semaphore&>(bounded).release(); }), "!ValueError");
    EXPECT_FALSE(bounded.locked());
}

// SEMAPHORE-02
TEST(Semaphore, RefusesANegativeFirstValue) {
    EXPECT_EQ(call_message([] { Semaphore semaphore(-1); }), "!ValueError(Semaphore initial value must be >= 0)");
    EXPECT_EQ(call_message([] { BoundedSemaphore semaphore(-1); }),
              "!ValueError(Semaphore initial value must be >= 0)");
    EXPECT_EQ(call([] { Semaphore semaphore(UINT64_MAX); }), "!ValueError");
    const std::vector<int> three(3);
    const Semaphore semaphore(three.size());
    EXPECT_FALSE(semaphore.locked());
}

CO_TEST(Semaphore, IsGrantedInTheOrderOfAsking) {
    Semaphore semaphore(0);
    Trace log;
    const auto tasks = acquirers(semaphore, log, {"1", "2", "3"});
    co_await tick(1);
    for (std::size_t count = 1; count <= 3; ++count) {
        semaphore.release();
        co_await tick(1);
        EXPECT_EQ(log.size(), count);
    }
    EXPECT_TRUE(log.shows({"1", "2", "3"}));
    EXPECT_TRUE(semaphore.locked());
}

// SEMAPHORE-04
CO_TEST(Semaphore, KeepsTheOrderWhenTasksQueueAgainDuringABurst) {
    Semaphore semaphore(1);
    Trace log;
    const auto twice = [&]() -> Coro<> {
        co_await semaphore.acquire();
        log("2");
        semaphore.release();
        co_await semaphore.acquire();
        log("4");
    };
    const Task<> c1 = create_task(acquire_and_log(semaphore, log, "1"));
    const Task<> c2 = create_task(twice());
    const Task<> c3 = create_task(acquire_and_log(semaphore, log, "3"));
    co_await tick(1);
    semaphore.release();
    semaphore.release();
    co_await gather(c1, c2, c3);
    EXPECT_TRUE(log.shows({"1", "2", "3", "4"}));
}

// SEMAPHORE-07
CO_TEST(Semaphore, AWaiterThatIsCancelledAfterItsGrantGivesItBack) {
    Semaphore semaphore(0);
    Task<bool> a = create_task(semaphore.acquire());
    const Task<bool> b = create_task(semaphore.acquire());
    co_await tick(1);
    semaphore.release();
    a.cancel();
    EXPECT_EQ(co_await got(a), "!CancelledError");
    EXPECT_EQ(co_await got(b), "true");
    semaphore.release();
    EXPECT_FALSE(semaphore.locked());
    EXPECT_EQ(co_await got(semaphore.acquire()), "true");
}

CO_TEST(Semaphore, TheValueComesBackWhenTheOnlyWaiterIsCancelledAfterItsGrant) {
    BoundedSemaphore semaphore(1);
    co_await semaphore.acquire();
    Task<bool> only = create_task(semaphore.acquire());
    co_await tick(1);
    semaphore.release();
    only.cancel();
    EXPECT_TRUE(semaphore.locked());
    EXPECT_EQ(co_await got(only), "!CancelledError");
    EXPECT_FALSE(semaphore.locked());
    EXPECT_EQ(call([&] { semaphore.release(); }), "!ValueError");
}

CO_TEST(Semaphore, AWaiterThatIsCancelledBeforeItsGrantIsPassedOver) {
    Semaphore semaphore(0);
    Trace log;
    auto tasks = acquirers(semaphore, log, {"a", "b", "c"});
    co_await tick(1);
    tasks[0].cancel();
    semaphore.release();
    co_await tick(1);
    EXPECT_TRUE(log.shows({"b"}));
    tasks[2].cancel("m");
    EXPECT_EQ(co_await got_message(tasks[2]), "!CancelledError(m)");
    EXPECT_TRUE(tasks[0].cancelled());
    EXPECT_TRUE(semaphore.locked());
    semaphore.release();
    EXPECT_FALSE(semaphore.locked());
}

// SEMAPHORE-09
CO_TEST(Semaphore, LetsNobodyPastThoseThatAreLetInAndHaveNotRun) {
    Semaphore semaphore(0);
    Trace log;
    const auto tasks = acquirers(semaphore, log, {"1", "2", "3"});
    co_await tick(1);
    semaphore.release();
    semaphore.release();
    semaphore.release();
    EXPECT_TRUE(semaphore.locked());
    const Task<> late = create_task(acquire_and_log(semaphore, log, "late"));
    co_await tick(1);
    EXPECT_TRUE(log.shows({"1", "2", "3"}));
    semaphore.release();
    co_await gather(tasks);
    co_await late;
    EXPECT_TRUE(log.shows({"1", "2", "3", "late"}));
}

CO_TEST(Semaphore, ANewcomerWaitsForTheOneThatIsLetInEvenWhenThereIsAValue) {
    Semaphore semaphore(0);
    Trace log;
    const Task<> old = create_task(acquire_and_log(semaphore, log, "old"));
    co_await tick(1);
    semaphore.release();
    semaphore.release();
    EXPECT_TRUE(semaphore.locked());
    co_await acquire_and_log(semaphore, log, "new");
    EXPECT_TRUE(log.shows({"old", "new"}));
    EXPECT_TRUE(semaphore.locked());
}

CO_TEST(Semaphore, LetsInSeveralWhenOneThatWasWaitedForIsCancelled) {
    Semaphore semaphore(0);
    Trace log;
    Task<> old = create_task(acquire_and_log(semaphore, log, "old"));
    co_await tick(1);
    semaphore.release();
    semaphore.release();
    old.cancel();
    const auto tasks = acquirers(semaphore, log, {"1", "2"});
    co_await gather(tasks);
    EXPECT_TRUE(old.cancelled());
    EXPECT_TRUE(log.shows({"1", "2"}));
    EXPECT_TRUE(semaphore.locked());
}

CO_TEST(Semaphore, ReleasesInABurstAreCountedWhileOneIsOnItsWay) {
    BoundedSemaphore semaphore(2);
    co_await semaphore.acquire();
    co_await semaphore.acquire();
    Task<bool> waiter = create_task(semaphore.acquire());
    co_await tick(1);
    semaphore.release();
    semaphore.release();
    co_await waiter;
    EXPECT_FALSE(semaphore.locked());
    semaphore.release();
    EXPECT_EQ(call([&] { semaphore.release(); }), "!ValueError");
}

// SEMAPHORE-10
CO_TEST(Semaphore, AGuardReleasesByAnException) {
    BoundedSemaphore semaphore(1);
    Trace log;
    try {
        const Guard guard = co_await semaphore.scoped();
        log(semaphore.locked());
        throw Err();
    } catch (const Err&) {
        log(semaphore.locked());
    }
    EXPECT_TRUE(log.shows({"true", "false"}));
}

// SEMAPHORE-10
CO_TEST(Semaphore, AGuardReleasesByACancellation) {
    Semaphore semaphore(1);
    const auto hold = [&]() -> Coro<> {
        const Guard guard = co_await semaphore.scoped();
        co_await sleep(kForever);
    };
    Task<> holder = create_task(hold());
    Task<> waiter = create_task(hold());
    co_await tick(1);
    waiter.cancel();
    holder.cancel();
    EXPECT_EQ(co_await got(holder), "!CancelledError");
    EXPECT_EQ(co_await got(waiter), "!CancelledError");
    EXPECT_FALSE(semaphore.locked());
    Guard guard = co_await semaphore.scoped();
    EXPECT_TRUE(semaphore.locked());
    guard.release();
    EXPECT_FALSE(semaphore.locked());
}

struct Inside {
    int now = 0;
    int peak = 0;
};
Coro<> go_inside(Semaphore& semaphore, Inside& inside) {
    const Guard guard = co_await semaphore.scoped();
    inside.peak = std::max(inside.peak, ++inside.now);
    co_await tick(1);
    --inside.now;
}

// SEMAPHORE-11
CO_TEST(Semaphore, LimitsHowManyAreInside) {
    Semaphore semaphore(3);
    Inside inside;
    std::vector<Coro<>> coros;
    for (int count = 0; count < 20; ++count) {
        coros.push_back(go_inside(semaphore, inside));
    }
    co_await gather(std::move(coros));
    EXPECT_EQ(inside.peak, 3);
    EXPECT_EQ(inside.now, 0);
}

TEST(Semaphore, ServesOneRuntimeAfterAnother) {
    const auto use = []() -> Coro<> {
        Inside inside;
        std::vector<Coro<>> coros;
        for (int count = 0; count < 5; ++count) {
            coros.push_back(go_inside(g_semaphore, inside));
            coros.push_back(go_inside(g_bounded, inside));
        }
        co_await gather(std::move(coros));
        EXPECT_EQ(inside.peak, 3);
    };
    run_one(use);
    run_one(use);
    EXPECT_FALSE(g_semaphore.locked());
}

CO_TEST(Semaphore, CanBeGatheredAndWrapped) {
    BoundedSemaphore semaphore(2);
    const auto [one, two] = co_await gather(semaphore.acquire(), as_result(semaphore.acquire()));
    EXPECT_TRUE(one && two.value());
    Task<Guard> task = create_task(semaphore.scoped());
    co_await tick(1);
    semaphore.release();
    semaphore.release();
    const Guard guard = co_await std::move(task);
    EXPECT_TRUE(guard);
}

// Across loops.

CO_TEST_ON_LOOPS(SemaphoreOnLoops, LimitsHowManyAreInside) {
    BoundedSemaphore semaphore(3);
    Inside inside;  // the fake driver turns all loops on one thread
    std::vector<Task<>> tasks;
    for (int count = 0; count < 20; ++count) {
        tasks.push_back(spawn(go_inside(semaphore, inside)));
    }
    co_await gather(tasks);
    EXPECT_LE(inside.peak, 3);
    EXPECT_EQ(inside.now, 0);
    EXPECT_EQ(call([&] { semaphore.release(); }), "!ValueError");
}

Coro<> queue_up(Semaphore& semaphore, Trace& log, std::string name, bool& stands_in_line) {
    Loop& home = get_running_loop();
    stands_in_line = true;
    co_await semaphore.acquire();
    EXPECT_EQ(&get_running_loop(), &home);
    log(name);
    semaphore.release();
}

/// Tasks of several loops that wait for the semaphore, in the order of their names.
Coro<std::vector<Task<>>> line_of(Semaphore& semaphore, Trace& log, int count) {
    Runtime& runtime = get_runtime();
    std::vector<Task<>> tasks;
    for (int index = 0; index < count; ++index) {
        bool stands_in_line = false;
        Loop& loop = runtime.loop(static_cast<std::size_t>(index) % runtime.size());
        tasks.push_back(create_task(queue_up(semaphore, log, std::to_string(index), stands_in_line), {.loop = &loop}));
        while (!stands_in_line) {
            co_await tick(1);
        }
    }
    co_return tasks;
}

CO_TEST_ON_LOOPS(SemaphoreOnLoops, IsGrantedInTheOrderOfAskingAndWakesEachOnItsOwnLoop) {
    BoundedSemaphore semaphore(1);
    Trace log;
    co_await semaphore.acquire();
    const std::vector<Task<>> tasks = co_await line_of(semaphore, log, 8);
    co_await to_thread([&] { semaphore.release(); });
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1", "2", "3", "4", "5", "6", "7"}));
    EXPECT_FALSE(semaphore.locked());
}

CO_TEST_ON_LOOPS(SemaphoreOnLoops, LosesNothingHoweverWaitersAreCancelled) {
    for (unsigned mask = 0; mask < 16; ++mask) {
        for (const bool release_first : {false, true}) {
            BoundedSemaphore semaphore(2);
            Trace log;
            co_await semaphore.acquire();
            co_await semaphore.acquire();
            std::vector<Task<>> tasks = co_await line_of(semaphore, log, 4);
            if (release_first) {
                semaphore.release();
            }
            for (unsigned index = 0; index < 4; ++index) {
                if ((mask >> index & 1U) != 0) {
                    tasks[index].cancel();
                }
            }
            if (!release_first) {
                co_await tick(static_cast<int>(mask % 3));
                semaphore.release();
            }
            semaphore.release();
            co_await gather(return_exceptions, tasks);
            const auto cancelled = std::ranges::count_if(tasks, [](const Task<>& task) { return task.cancelled(); });
            EXPECT_EQ(log.size() + static_cast<std::size_t>(cancelled), 4U);
            co_await semaphore.acquire();
            EXPECT_FALSE(semaphore.locked());
            semaphore.release();
            EXPECT_EQ(call([&] { semaphore.release(); }), "!ValueError");
        }
    }
}

}  // namespace
}  // namespace knit::test
