// fork_join(): errors and cancellation.

#include "forks.hpp"

#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

using namespace forks;

// Errors.

CO_TEST(ForkJoinEnd, AnErrorDropsWhatHasNotBegun) {
    Trace log;
    EXPECT_EQ(co_await got(fork_join_of(say(log, "a"), say(log, "b"), fail("c"))), "!Err");
    EXPECT_EQ(co_await got(fork_join_of(say(log, "a"), fail("b"), say(log, "c"))), "!Err");
    EXPECT_EQ(co_await got(fork_join_of(fail("a"), say(log, "b"), say(log, "c"))), "!Err");
    EXPECT_TRUE(log.shows({"a", "b", "a"}));
}

CO_TEST_ON_LOOPS(ForkJoinEnd, AnErrorCancelsTheOthersAndAwaitsThem) {
    Trace log;
    const TimePoint start = get_running_loop().time();
    const std::string error =
        co_await got_message(fork_join_of(fail_after(10ms, "a"), leaf(log, "b", 5ms), leaf(log, "c")));
    EXPECT_EQ(error, "!Err(a)");
    EXPECT_EQ(log.size(), 2U);
    EXPECT_EQ(get_running_loop().time() - start, 15ms);
}

CO_TEST_ON_LOOPS(ForkJoinEnd, RethrowsTheErrorThatCameFirst) {
    const std::string error =
        co_await got_message(fork_join_of(fail_after(30ms, "a"), fail_after(10ms, "b"), number_after(20ms, 1)));
    EXPECT_EQ(error, "!Err(b)");
    std::vector<Coro<>> children;
    for (const Duration delay : {3ms, 1ms, 2ms}) {
        children.push_back(fail_after(delay, std::to_string(delay / 1ms)));
    }
    EXPECT_EQ(co_await got_message(fork_join_of(std::move(children))), "!Err(1)");
}

CO_TEST_ON_LOOPS(ForkJoinEnd, AnErrorComesThroughEachLevelOfATree) {
    EXPECT_EQ(co_await got_message(failing_tree(6)), "!Err(bottom)");
}

CO_TEST(ForkJoinEnd, AnErrorOfAChildThatWasATaskIsNotReported) {
    Trace log;
    on_error(log);
    EXPECT_EQ(co_await got(fork_join_of(fail_after(2ms, "a"), fail_after(1ms, "b"), fail_after(3ms, "c"))), "!Err");
    co_await tick(3);
    EXPECT_TRUE(log.shows({}));
}

CO_TEST(ForkJoinEnd, WantsCoroutinesThatCanBeStarted) {
    EXPECT_EQ(call([] { static_cast<void>(fork_join(Coro<int>())); }), "!ValueError");
    Coro<int> used = number(1);
    co_await used;
    EXPECT_EQ(call([&] { static_cast<void>(fork_join(std::move(used), number(2))); }), "!ValueError");
    std::vector<Coro<int>> children(2);
    EXPECT_EQ(call([&] { static_cast<void>(fork_join(std::move(children))); }), "!ValueError");
}

CO_TEST(ForkJoinEnd, TellsOfChildrenThatNobodyAwaitedInDebugMode) {
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

CO_TEST_ON_LOOPS(ForkJoinEnd, CancellationReachesTheInlineChildAndTheOthers) {
    Trace log;
    Task<> task = create_task(fork_join_of(leaf(log, "a"), leaf(log, "b", 5ms), leaf(log, "c")));
    co_await sleep(1ms);
    const TimePoint start = get_running_loop().time();
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(log.size(), 3U);
    EXPECT_EQ(get_running_loop().time() - start, 5ms);
}

CO_TEST_ON_LOOPS(ForkJoinEnd, CancellationReachesThoseThatAreTasksAndAwaitsThem) {
    Trace log;
    Task<> task = create_task(fork_join_of(number_after(1ms, 1), leaf(log, "a"), leaf(log, "b", 5ms)));
    co_await sleep(2ms);  // the inline child has ended
    const TimePoint start = get_running_loop().time();
    task.cancel("enough");
    EXPECT_EQ(co_await got_message(task), "!CancelledError(enough)");
    EXPECT_EQ(log.size(), 2U);
    EXPECT_EQ(get_running_loop().time() - start, 5ms);
}

CO_TEST_ON_LOOPS(ForkJoinEnd, ASecondCancellationReachesThemToo) {
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
    Task<> task = create_task(fork_join_of(number_after(1ms, 1), stubborn(log)));
    co_await sleep(2ms);
    task.cancel();
    co_await sleep(1ms);
    EXPECT_FALSE(task.done());
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_TRUE(log.shows({"cancelled", "cancelled"}));
}

CO_TEST_ON_LOOPS(ForkJoinEnd, ACancellationAfterAnErrorLeavesTheError) {
    Trace log;
    Task<> task = create_task(fork_join_of(number_after(1ms, 1), leaf(log, "a", 5ms), fail_after(2ms, "b")));
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

CO_TEST(ForkJoinEnd, MayBeCancelledAtAnyAwait) {
    for (int turns = 0; turns < 40; ++turns) {
        int alive = 0;
        Task<int> task = create_task(restless_tree(alive, 2));
        co_await tick(turns);
        const bool was_asked = task.cancel();
        EXPECT_EQ(co_await got(task), was_asked ? "!CancelledError" : "9");
        EXPECT_EQ(alive, 0) << "after " << turns << " turns";
    }
}

CO_TEST(ForkJoinEnd, ATreeThatNeverWaitsCanBeCancelled) {
    Task<int> task = create_task(tree_of(40));  // which would take days
    get_running_loop().call_soon([&] { get_running_loop().call_soon([&] { task.cancel(); }); });
    EXPECT_EQ(co_await got(task), "!CancelledError");
}

}  // namespace
}  // namespace knit::test
