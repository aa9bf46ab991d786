// fork_join(): what runs inline, what becomes a task; budget, depth, what the debugging tools see.

#include "forks.hpp"
#include "small_stack.hpp"


#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

using namespace forks;

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

CO_TEST(ForkJoin, BeginsTheChildrenInTheOrderOfTheArgumentsWhereNoLoopTakesOne) {
    std::string order;
    const auto child = [](std::string& names, char name) -> Coro<> {
        names += name;
        co_return;
    };
    co_await fork_join(child(order, 'a'), child(order, 'b'), child(order, 'c'), child(order, 'd'));
    std::vector<Coro<>> children;
    for (const char name : {'e', 'f', 'g', 'h'}) {
        children.push_back(child(order, name));
    }
    co_await fork_join(std::move(children));
    EXPECT_EQ(order, "abcdefgh");
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
    co_await fork_join(spawning(log), say(log, "a"));
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
        const auto results = co_await fork_join(mover(target), number_after(1ms, 1), number(2), fib(5));
        EXPECT_EQ(std::get<1>(results) + std::get<2>(results) + std::get<3>(results), 8);
        EXPECT_EQ(&get_running_loop(), &target);
        co_await fork_join(number_after(1ms, 2), move_on(), number(1));
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
    const auto seen = co_await fork_join(number_after(1ms, 0), late());  // late() becomes a task
    EXPECT_EQ(std::get<1>(seen), 5);
    EXPECT_EQ(variable.get(), 5);
}

// Budget and depth.

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
    Task<> task = create_task(fork_join_of(number_after(1ms, 1), leaf(log, "a"), leaf(log, "b")));
    co_await sleep(2ms);
    EXPECT_NE(dump_tasks().find("fork_join of 2"), std::string::npos) << dump_tasks();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
}

}  // namespace
}  // namespace knit::test
