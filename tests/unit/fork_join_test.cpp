// fork_join(): what runs inline, what becomes a task, errors, cancellation, budget, depth.

#include "co_test.hpp"

#include <pthread.h>

#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

Coro<int> number(int value) { co_return value; }
Coro<int> number_after(Duration delay, int value) {
    co_await sleep(delay);
    co_return value;
}
Coro<> nothing() { co_return; }
Coro<> say(Trace& log, std::string what) {
    log(what);
    co_return;
}
Coro<> fail(std::string what) {
    throw Err(what);
    co_return;
}
Coro<> fail_after(Duration delay, std::string what) {
    co_await sleep(delay);
    throw Err(what);
}
/// Logs its name when it is cancelled, after `cleanup`.
Coro<> leaf(Trace& log, std::string name, Duration cleanup = 0s) {
    bool is_cancelled = false;
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        is_cancelled = true;
    }
    if (is_cancelled && cleanup > 0s) {
        co_await sleep(cleanup);
    }
    log(name);
    throw CancelledError();
}
Coro<> leaf_forever() { co_await sleep(kForever); }
Coro<> move_on() { co_await reschedule(); }
Coro<long> fib(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    const auto both = co_await fork_join(fib(n - 1), fib(n - 2));
    co_return std::get<0>(both) + std::get<1>(both);
}

/// A fork_join() as a coroutine, for create_task() and got().
template <class... T>
Coro<> fork_join_of(Coro<T>... children) {
    co_await fork_join(std::move(children)...);
}
template <class T>
Coro<> fork_join_of(std::vector<Coro<T>> children) {
    co_await fork_join(std::move(children));
}
Coro<> failing_tree(int depth) {
    if (depth == 0) {
        throw Err("bottom");
    }
    co_await fork_join(number_after(1ms, 1), leaf_forever(), failing_tree(depth - 1));
}

CO_TEST_ON_LOOPS(ForkJoin, GivesTheResultsInTheOrderOfTheArguments) {
    const auto results = co_await fork_join(number_after(20ms, 1), number(2), number_after(10ms, 3));
    EXPECT_EQ(results, std::make_tuple(1, 2, 3));
}

CO_TEST_ON_LOOPS(ForkJoin, MixesTypesAndMakesVoidAUnit) {
    const auto text_of = []() -> Coro<std::string> { co_return "text"; };
    const auto pointer = []() -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
    static int target = 0;
    const auto reference = []() -> Coro<int&> { co_return target; };
    auto results = co_await fork_join(nothing(), text_of(), pointer(), reference(), nothing());
    static_assert(std::is_same_v<decltype(results), std::tuple<Unit, std::string, std::unique_ptr<int>, int&, Unit>>);
    EXPECT_EQ(std::get<1>(results), "text");
    EXPECT_EQ(*std::get<2>(results), 7);
    EXPECT_EQ(&std::get<3>(results), &target);
}

CO_TEST_ON_LOOPS(ForkJoin, TakesAVectorOfAnyLength) {
    for (int count = 0; count < 70; count += 23) {
        std::vector<Coro<int>> children;
        std::vector<int> expected;
        for (int value = 0; value < count; ++value) {
            children.push_back(value % 3 == 1 ? number_after(1ms, value) : number(value));
            expected.push_back(value);
        }
        EXPECT_EQ(co_await fork_join(std::move(children)), expected);
    }
    std::vector<Coro<>> children;
    children.push_back(nothing());
    const std::vector<Unit> units = co_await fork_join(std::move(children));
    EXPECT_EQ(units.size(), 1U);
}

CO_TEST_ON_LOOPS(ForkJoin, ComputesATree) { EXPECT_EQ(co_await fib(15), 610); }

CO_TEST(ForkJoin, RunsTheLastAtOnceThenTheOthersNewestFirst) {
    Trace log;
    co_await fork_join(say(log, "a"), say(log, "b"), say(log, "c"));
    EXPECT_TRUE(log.shows({"c", "b", "a"}));
}

CO_TEST(ForkJoin, InlineChildrenArePartOfTheAwaitingTask) {
    const auto own_id = []() -> Coro<std::uint64_t> { co_return current_task()->id(); };
    const Task<> before = create_task(nothing());
    const auto ids = co_await fork_join(own_id(), own_id(), own_id());
    const Task<> after = create_task(nothing());
    const std::uint64_t mine = current_task()->id();
    EXPECT_EQ(ids, std::make_tuple(mine, mine, mine));
    EXPECT_EQ(after.id(), before.id() + 1) << "children have become tasks";
}

CO_TEST(ForkJoin, OthersBecomeTasksWhileAnInlineChildIsSuspended) {
    Trace log;
    const auto child = [](Trace& trace, std::uint64_t parent, Duration delay) -> Coro<> {
        trace(current_task()->id() == parent ? "inline" : "task");
        co_await sleep(delay);
    };
    const TimePoint start = get_running_loop().time();
    const std::uint64_t mine = current_task()->id();
    co_await fork_join(child(log, mine, 10ms), child(log, mine, 30ms), child(log, mine, 20ms));
    EXPECT_EQ(get_running_loop().time() - start, 30ms);
    EXPECT_TRUE(log.shows({"inline", "task", "task"}));
}

CO_TEST_ON_LOOPS(ForkJoin, ResumesOnItsOwnLoop) {
    Loop* const loop = &get_running_loop();
    for (int round = 0; round < 10; ++round) {
        co_await fork_join(number_after(1ms, 1), number_after(2ms, 1), number_after(1ms, 1));
        EXPECT_EQ(&get_running_loop(), loop);
    }
}

CO_TEST(ForkJoin, WhatAnInlineChildSpawnsDoesNotHideTheOthers) {
    Trace log;
    const auto spawning = [](Trace& trace) -> Coro<> {
        static_cast<void>(spawn(say(trace, "spawned")));
        trace("spawning");
        co_return;
    };
    co_await fork_join(say(log, "a"), spawning(log));
    co_await tick(3);
    EXPECT_TRUE(log.shows({"spawning", "spawned", "a"}));
}

CO_TEST_ON_LOOPS(ForkJoin, AnInlineChildMayMoveTheTask) {
    Runtime& runtime = get_runtime();
    const auto mover = [](Loop& target) -> Coro<> {
        co_await resume_on(target);
        co_await yield();
    };
    for (std::size_t round = 0; round < 2 * runtime.size(); ++round) {
        Loop& target = runtime.loop(round % runtime.size());
        const auto results = co_await fork_join(number_after(1ms, 1), number(2), fib(5), mover(target));
        EXPECT_EQ(std::get<0>(results) + std::get<1>(results) + std::get<2>(results), 8);
        EXPECT_EQ(&get_running_loop(), &target);
        co_await fork_join(number(1), move_on(), number_after(1ms, 2));
    }
}

CO_TEST_ON_LOOPS(ForkJoin, ContextOfInlineChildrenIsTheTasksAndOthersGetACopy) {
    static ContextVar<int> variable("variable", 0);
    variable.set(1);
    const auto setter = []() -> Coro<int> {
        const int seen = variable.get();
        variable.set(5);
        co_return seen;
    };
    const auto late = []() -> Coro<int> {
        const int seen = variable.get();
        variable.set(9);
        co_await sleep(5ms);
        co_return seen;
    };
    EXPECT_EQ(co_await fork_join(setter()), std::make_tuple(1));
    EXPECT_EQ(variable.get(), 5);
    const auto seen = co_await fork_join(late(), number_after(1ms, 0));  // late() becomes a task
    EXPECT_EQ(std::get<0>(seen), 5);
    EXPECT_EQ(variable.get(), 5);
}

// Errors.

CO_TEST(ForkJoin, AnErrorDropsWhatHasNotBegun) {
    Trace log;
    EXPECT_EQ(co_await got(fork_join_of(say(log, "a"), say(log, "b"), fail("c"))), "!Err");
    EXPECT_EQ(co_await got(fork_join_of(say(log, "a"), fail("b"), say(log, "c"))), "!Err");
    EXPECT_EQ(co_await got(fork_join_of(fail("a"), say(log, "b"), say(log, "c"))), "!Err");
    EXPECT_TRUE(log.shows({"c", "c", "b"}));
}

CO_TEST_ON_LOOPS(ForkJoin, AnErrorCancelsTheOthersAndAwaitsThem) {
    Trace log;
    const TimePoint start = get_running_loop().time();
    const std::string error = co_await got_message(fork_join_of(leaf(log, "a", 5ms), leaf(log, "b"), fail_after(10ms, "c")));
    EXPECT_EQ(error, "!Err(c)");
    EXPECT_EQ(log.size(), 2U);
    EXPECT_EQ(get_running_loop().time() - start, 15ms);
}

CO_TEST_ON_LOOPS(ForkJoin, RethrowsTheErrorThatCameFirst) {
    const std::string error =
        co_await got_message(fork_join_of(fail_after(30ms, "a"), fail_after(10ms, "b"), number_after(20ms, 1)));
    EXPECT_EQ(error, "!Err(b)");
    std::vector<Coro<>> children;
    for (const Duration delay : {3ms, 1ms, 2ms}) {
        children.push_back(fail_after(delay, std::to_string(delay / 1ms)));
    }
    EXPECT_EQ(co_await got_message(fork_join_of(std::move(children))), "!Err(1)");
}

CO_TEST_ON_LOOPS(ForkJoin, AnErrorComesThroughEachLevelOfATree) {
    EXPECT_EQ(co_await got_message(failing_tree(6)), "!Err(bottom)");
}

CO_TEST(ForkJoin, AnErrorOfAChildThatWasATaskIsNotReported) {
    Trace log;
    on_error(log);
    EXPECT_EQ(co_await got(fork_join_of(fail_after(2ms, "a"), fail_after(1ms, "b"), fail_after(3ms, "c"))), "!Err");
    co_await tick(3);
    EXPECT_TRUE(log.shows({}));
}

CO_TEST(ForkJoin, WantsCoroutinesThatCanBeStarted) {
    EXPECT_EQ(call([] { static_cast<void>(fork_join(Coro<int>())); }), "!ValueError");
    Coro<int> used = number(1);
    co_await used;
    EXPECT_EQ(call([&] { static_cast<void>(fork_join(std::move(used), number(2))); }), "!ValueError");
    std::vector<Coro<int>> children(2);
    EXPECT_EQ(call([&] { static_cast<void>(fork_join(std::move(children))); }), "!ValueError");
}

CO_TEST(ForkJoin, TellsOfChildrenThatNobodyAwaitedInDebugMode) {
    const LogCapture logged;
    get_running_loop().set_debug(true);
    static_cast<void>(fork_join(number(1), nothing()));
    EXPECT_TRUE(logged.has(LogLevel::warning, "'knit::test::(anonymous namespace)::number' was never awaited") ||
                logged.has(LogLevel::warning, "number' was never awaited"));
    EXPECT_EQ(logged.records().size(), 2U);
    const auto dropped = co_await got(fork_join_of(nothing(), fail("b")));
    EXPECT_EQ(dropped, "!Err");
    EXPECT_EQ(logged.records().size(), 2U) << "a child that an error drops is no mistake";
    get_running_loop().set_debug(false);
}

// Cancellation.

CO_TEST_ON_LOOPS(ForkJoin, CancellationReachesTheInlineChildAndTheOthers) {
    Trace log;
    Task<> task = create_task(fork_join_of(leaf(log, "a"), leaf(log, "b", 5ms), leaf(log, "c")));
    co_await sleep(1ms);
    const TimePoint start = get_running_loop().time();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(log.size(), 3U);
    EXPECT_EQ(get_running_loop().time() - start, 5ms);
}

CO_TEST_ON_LOOPS(ForkJoin, CancellationReachesThoseThatAreTasksAndAwaitsThem) {
    Trace log;
    Task<> task = create_task(fork_join_of(leaf(log, "a"), leaf(log, "b", 5ms), number_after(1ms, 1)));
    co_await sleep(2ms);  // the inline child has ended
    const TimePoint start = get_running_loop().time();
    task.cancel("enough");
    EXPECT_EQ(co_await got_message(task), "!CancelledError(enough)");
    EXPECT_EQ(log.size(), 2U);
    EXPECT_EQ(get_running_loop().time() - start, 5ms);
}

CO_TEST_ON_LOOPS(ForkJoin, ASecondCancellationReachesThemToo) {
    Trace log;
    const auto stubborn = [](Trace& trace) -> Coro<> {
        for (int round = 0; round < 2; ++round) {
            try {
                co_await sleep(kForever);
            } catch (const CancelledError&) {
                trace("cancelled");
            }
        }
    };
    Task<> task = create_task(fork_join_of(stubborn(log), number_after(1ms, 1)));
    co_await sleep(2ms);
    task.cancel();
    co_await sleep(1ms);
    EXPECT_FALSE(task.done());
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(log.shows({"cancelled", "cancelled"}));
}

CO_TEST_ON_LOOPS(ForkJoin, ACancellationAfterAnErrorLeavesTheError) {
    Trace log;
    Task<> task = create_task(fork_join_of(leaf(log, "a", 5ms), fail_after(2ms, "b"), number_after(1ms, 1)));
    co_await sleep(3ms);
    task.cancel();
    EXPECT_EQ(co_await got_message(task), "!Err(b)");
}

/// How many of these there are.
struct Alive {
    explicit Alive(int& total) noexcept : count(total) { ++count; }
    Alive(const Alive&) = delete;
    ~Alive() { --count; }
    int& count;
};
Coro<int> restless_tree(int& alive, int depth) {
    const Alive me(alive);
    co_await yield();
    if (depth == 0) {
        co_await sleep(1ms);
        co_return 1;
    }
    const auto below = co_await fork_join(restless_tree(alive, depth - 1), restless_tree(alive, depth - 1),
                                          restless_tree(alive, depth - 1));
    co_await yield();
    co_return std::get<0>(below) + std::get<1>(below) + std::get<2>(below);
}

CO_TEST(ForkJoin, MayBeCancelledAtAnyAwait) {
    for (int turns = 0; turns < 40; ++turns) {
        int alive = 0;
        Task<int> task = create_task(restless_tree(alive, 2));
        co_await tick(turns);
        const bool was_asked = task.cancel();
        EXPECT_EQ(co_await got(task), was_asked ? "!CancelledError" : "9");
        EXPECT_EQ(alive, 0) << "after " << turns << " turns";
    }
}

// Budget and depth.

Coro<int> tree_of(int depth) {
    if (depth == 0) {
        co_return 1;
    }
    const auto both = co_await fork_join(tree_of(depth - 1), tree_of(depth - 1));
    co_return std::get<0>(both) + std::get<1>(both);
}

TEST(ForkJoin, ABusyTreeStillPollsItsDriver) {
    RunOptions options = on_loops(1);
    options.budget = 10;
    run([]() -> Coro<> {
        const std::uint64_t before = testing::poll_count();
        EXPECT_EQ(co_await tree_of(9), 512);
        EXPECT_GE(testing::poll_count() - before, 90U);
    }, options);
}

CO_TEST(ForkJoin, OtherTasksAndTimersRunBetweenTheChildren) {
    int steps = 0;
    bool has_elapsed = false;
    const auto other = [](int& count) -> Coro<> {
        for (;;) {
            ++count;
            co_await yield();
        }
    };
    Task<> task = create_task(other(steps));
    co_await yield();
    get_running_loop().call_later(1ms, [&] { has_elapsed = true; });
    testing::pass_time(2ms);
    EXPECT_EQ(co_await tree_of(12), 4096);
    EXPECT_GE(steps, 50);
    EXPECT_TRUE(has_elapsed);
    task.cancel();
}

CO_TEST(ForkJoin, ATreeThatNeverWaitsCanBeCancelled) {
    Task<int> task = create_task(tree_of(40));  // which would take days
    get_running_loop().call_soon([&] { get_running_loop().call_soon([&] { task.cancel(); }); });
    EXPECT_EQ(co_await got(task), "!CancelledError");
}

/// Calls `body` on a thread whose stack has 256 KiB.
void on_small_stack(void (*body)()) {
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_attr_init(&attributes), 0);
    ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
    pthread_t thread{};
    const auto start = [](void* argument) -> void* {
        reinterpret_cast<void (*)()>(argument)();
        return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, &attributes, start, reinterpret_cast<void*>(body)), 0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    ASSERT_EQ(pthread_attr_destroy(&attributes), 0);
}

/// As deep as `depth`, by its first and its last child in turn.
Coro<long> descend(long depth) {
    if (depth == 0) {
        co_return 0;
    }
    if (depth % 2 == 0) {
        const auto both = co_await fork_join(number(1), descend(depth - 1));
        co_return std::get<0>(both) + std::get<1>(both);
    }
    const auto both = co_await fork_join(descend(depth - 1), number(1));
    co_return std::get<0>(both) + std::get<1>(both);
}
Coro<> fail_at(int depth) {
    if (depth == 0) {
        throw Err("bottom");
    }
    co_await fork_join(fail_at(depth - 1), nothing());
}

TEST(ForkJoin, AMillionDeepCostsNoStack) {
    on_small_stack([] {
        run_one([]() -> Coro<> {
            const long depth = KNIT_ASAN ? 20'000 : 1'000'000;
            EXPECT_EQ(co_await descend(depth), depth);
            EXPECT_EQ(co_await got(fail_at(1000)), "!Err");
        });
    });
}

TEST(ForkJoin, ManyForksInALoopCostNoStack) {
    on_small_stack([] {
        run_one([]() -> Coro<> {
            long sum = 0;
            for (int round = 0; round < 200'000; ++round) {
                const auto both = co_await fork_join(number(1), number(2));
                sum += std::get<0>(both) + std::get<1>(both);
            }
            EXPECT_EQ(sum, 600'000);
        });
    });
}

// What the debugging tools see.

CO_TEST(ForkJoin, StackLeadsFromAnInlineChildToTheTask) {
    const auto inner = []() -> Coro<std::size_t> { co_return current_task()->get_stack().size(); };
    const std::size_t outer = current_task()->get_stack().size();
    const auto depths = co_await fork_join(inner(), inner());
    EXPECT_EQ(depths, std::make_tuple(outer + 1, outer + 1));
}

CO_TEST(ForkJoin, ADumpShowsWhatTheForkWaitsFor) {
    Trace log;
    Task<> task = create_task(fork_join_of(leaf(log, "a"), leaf(log, "b"), number_after(1ms, 1)));
    co_await sleep(2ms);
    EXPECT_NE(dump_tasks().find("fork_join of 2"), std::string::npos) << dump_tasks();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
}

}  // namespace
}  // namespace knit::test
