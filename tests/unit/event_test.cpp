// Event.

#include "co_test.hpp"

#include <algorithm>
#include <bit>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

static_assert(!std::is_copy_constructible_v<Event> && !std::is_move_constructible_v<Event>);

constinit Event g_event;

Coro<> wait_and_log(Event& event, Trace& log, std::string name) {
    const bool result = co_await event.wait();
    EXPECT_TRUE(result);
    log(name);
}

// EVENT-01
CO_TEST(Event, WakesAllInTheOrderOfWaitingAndLetsLatecomersPassBefore) {
    Event event;
    Trace log;
    const Task<> a = create_task(wait_and_log(event, log, "1"));
    const Task<> b = create_task(wait_and_log(event, log, "2"));
    co_await tick(1);
    const Task<> c = create_task(wait_and_log(event, log, "3"));
    event.set();
    co_await tick(1);
    EXPECT_TRUE(log.shows({"3", "1", "2"}));
    EXPECT_TRUE(a.done() && b.done() && c.done());
}

// EVENT-02
CO_TEST(Event, LetsPassWithoutASuspensionWhileItIsSet) {
    Event event;
    Trace log;
    log(event.is_set());
    event.set();
    event.set();
    log(event.is_set());
    get_running_loop().call_soon([&] { log("loop ran"); });
    const bool result = co_await event.wait();
    log(result);
    event.clear();
    event.clear();
    log(event.is_set());
    co_await tick(1);
    EXPECT_TRUE(log.shows({"false", "true", "true", "false", "loop ran"}));
}

CO_TEST(Event, WakesWhoWaitedEvenIfItIsClearedBeforeTheyRun) {
    Event event;
    Trace log;
    const Task<> a = create_task(wait_and_log(event, log, "a"));
    const Task<> b = create_task(wait_and_log(event, log, "b"));
    co_await tick(1);
    event.set();
    event.clear();
    Task<> late = create_task(wait_and_log(event, log, "late"));
    co_await gather(a, b);
    co_await tick(3);
    EXPECT_TRUE(log.shows({"a", "b"}));
    EXPECT_FALSE(late.done());
    event.set();
    co_await late;
    EXPECT_EQ(log.size(), 3U);
}

CO_TEST(Event, CanBeSetAndClearedAgainAndAgain) {
    Event event;
    Trace log;
    for (int round = 0; round < 3; ++round) {
        const Task<> task = create_task(wait_and_log(event, log, "waited"));
        co_await tick(1);
        EXPECT_EQ(log.size(), static_cast<std::size_t>(round));
        event.set();
        co_await task;
        event.clear();
    }
    EXPECT_EQ(log.size(), 3U);
}

CO_TEST(Event, AWaiterThatIsCancelledIsForgotten) {
    Event event;
    Trace log;
    const Task<> a = create_task(wait_and_log(event, log, "a"));
    Task<> b = create_task(wait_and_log(event, log, "b"));
    const Task<> c = create_task(wait_and_log(event, log, "c"));
    co_await tick(1);
    b.cancel("enough");
    EXPECT_EQ(co_await got_message(b), "!CancelledError(enough)");
    EXPECT_FALSE(a.done());
    event.set();
    co_await gather(a, c);
    EXPECT_TRUE(log.shows({"a", "c"}));
}

CO_TEST(Event, ACancellationAfterSetIsStillDelivered) {
    Event event;
    Trace log;
    Task<> task = create_task(wait_and_log(event, log, "never"));
    co_await tick(1);
    event.set();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(log.shows({}));
    EXPECT_TRUE(event.is_set());
}

CO_TEST(Event, ACancellationBeforeSetIsDelivered) {
    Event event;
    Trace log;
    Task<> task = create_task(wait_and_log(event, log, "never"));
    co_await tick(1);
    task.cancel();
    event.set();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(log.shows({}));
}

CO_TEST(Event, IsNotAwaitedAnyMoreOnceTheLastWaiterIsCancelled) {
    Event event;
    Task<bool> task = create_task(event.wait());
    co_await tick(1);
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_FALSE(event.is_set());
    event.set();
    EXPECT_TRUE(event.is_set());
    EXPECT_EQ(co_await got(event.wait()), "true");
    event.clear();
    EXPECT_FALSE(event.is_set());
}

// EVENT-05
CO_TEST(Event, SetOnlySchedulesTheWaiters) {
    Event event;
    Trace log;
    const Task<> task = create_task(wait_and_log(event, log, "waiter"));
    co_await tick(1);
    event.set();
    log("setter continues");
    co_await task;
    EXPECT_TRUE(log.shows({"setter continues", "waiter"}));
}

CO_TEST(Event, IsSetFromACallback) {
    Event event;
    get_running_loop().call_later(5ms, [&] { event.set(); });
    const TimePoint start = get_running_loop().time();
    co_await event.wait();
    EXPECT_EQ(get_running_loop().time() - start, 5ms);
}

CO_TEST(Event, MayBeDestroyedByTheTaskThatIsWoken) {
    auto event = std::make_unique<Event>();
    const auto destroy = [&]() -> Coro<> {
        co_await event->wait();
        event.reset();
    };
    const Task<> task = create_task(destroy());
    co_await tick(1);
    event->set();
    co_await task;
    EXPECT_EQ(event, nullptr);
}

CO_TEST(Event, MayBeDestroyedOnceItHasBeenSetEvenIfAWaiterIsCancelledThen) {
    auto event = std::make_unique<Event>();
    Trace log;
    const Task<> one = create_task(wait_and_log(*event, log, "one"));
    Task<> other = create_task(wait_and_log(*event, log, "never"));
    co_await tick(1);
    event->set();
    event.reset();
    other.cancel();
    EXPECT_EQ(co_await got(other), "!CancelledError");
    co_await one;
    EXPECT_TRUE(log.shows({"one"}));
}

TEST(Event, ServesOneRuntimeAfterAnother) {
    Trace log;
    const auto use = [&]() -> Coro<> {
        const Task<> task = create_task(wait_and_log(g_event, log, "woken"));
        co_await tick(1);
        g_event.set();
        co_await task;
        g_event.clear();
    };
    run_one(use);
    run_one(use);
    EXPECT_TRUE(log.shows({"woken", "woken"}));
}

TEST(Event, CanBeSetWhereNoLoopRuns) {
    Event event;
    event.set();
    EXPECT_TRUE(event.is_set());
    const auto pass = [&]() -> Coro<bool> { co_return co_await event.wait(); };
    EXPECT_TRUE(run_one(pass));
    event.clear();
    EXPECT_FALSE(event.is_set());
}

CO_TEST(Event, CanBeGatheredAndWrapped) {
    Event event;
    get_running_loop().call_soon([&] { event.set(); });
    const auto [one, two] = co_await gather(event.wait(), as_result(event.wait()));
    EXPECT_TRUE(one && two.value());
}

// Across loops.

Coro<> wait_at_home(Event& event, Trace& log, int& waiting) {
    Loop& home = get_running_loop();
    ++waiting;
    co_await event.wait();
    EXPECT_EQ(&get_running_loop(), &home);
    log("woken");
}

/// Eight tasks, spread over the loops, that wait for the event.
Coro<std::vector<Task<>>> eight_waiters(Event& event, Trace& log) {
    Runtime& runtime = get_runtime();
    std::vector<Task<>> tasks;
    int waiting = 0;  // the fake driver turns all loops on one thread
    for (std::size_t index = 0; index < 8; ++index) {
        Loop& loop = runtime.loop(index % runtime.size());
        tasks.push_back(create_task(wait_at_home(event, log, waiting), {.loop = &loop}));
    }
    while (waiting < 8) {
        co_await tick(1);
    }
    co_return tasks;
}

CO_TEST_ON_LOOPS(EventOnLoops, WakesEachWaiterOnItsOwnLoop) {
    Event event;
    Trace log;
    const std::vector<Task<>> tasks = co_await eight_waiters(event, log);
    event.set();
    co_await gather(tasks);
    EXPECT_EQ(log.size(), 8U);
}

CO_TEST_ON_LOOPS(EventOnLoops, IsSetByAPlainThread) {
    Event event;
    Trace log;
    const std::vector<Task<>> tasks = co_await eight_waiters(event, log);
    co_await to_thread([&] {
        event.set();
        event.clear();
    });
    co_await gather(tasks);
    EXPECT_EQ(log.size(), 8U);
    EXPECT_FALSE(event.is_set());
}

CO_TEST_ON_LOOPS(EventOnLoops, WakesTheOthersHoweverWaitersAreCancelled) {
    for (unsigned mask = 0; mask < 256; mask += 5) {
        for (const bool set_first : {false, true}) {
            Event event;
            Trace log;
            std::vector<Task<>> tasks = co_await eight_waiters(event, log);
            if (set_first) {
                event.set();
            }
            for (unsigned index = 0; index < 8; ++index) {
                if ((mask >> index & 1U) != 0) {
                    tasks[index].cancel();
                }
            }
            if (!set_first) {
                co_await tick(static_cast<int>(mask % 3));
                event.set();
            }
            co_await gather(return_exceptions, tasks);
            const auto cancelled = std::ranges::count_if(tasks, [](const Task<>& task) { return task.cancelled(); });
            EXPECT_EQ(log.size() + static_cast<std::size_t>(cancelled), 8U);
            EXPECT_GE(log.size(), 8U - static_cast<unsigned>(std::popcount(mask)));
        }
    }
}

}  // namespace
}  // namespace knit::test
