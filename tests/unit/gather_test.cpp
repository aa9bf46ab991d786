// gather(), in all its forms.

#include "co_test.hpp"

#include <list>
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
Coro<int> fail_after(Duration delay, std::string what) {
    co_await sleep(delay);
    throw Err(what);
}
Coro<> nothing() { co_return; }
/// Braces with tasks in them are more than GCC 12 can take inside a coroutine.
template <class T>
std::vector<T> both(T first, T second) {
    std::vector<T> values;
    values.push_back(std::move(first));
    values.push_back(std::move(second));
    return values;
}
Coro<> leaf(Trace& log, std::string name) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(name);
        throw;
    }
}

CO_TEST(Gather, GivesTheResultsInTheOrderOfTheArguments) {
    const TimePoint start = get_running_loop().time();
    const auto [a, b, c] = co_await gather(number_after(20ms, 1), number_after(10ms, 2), number_after(30ms, 3));
    EXPECT_EQ((std::vector<int>{a, b, c}), (std::vector<int>{1, 2, 3}));
    EXPECT_EQ(get_running_loop().time() - start, 30ms);
}

CO_TEST(Gather, MixesTypesAndMakesVoidAUnit) {
    Future<std::string> future;
    const Task<int> task = create_task(number(1));
    get_running_loop().call_later(1ms, [future]() mutable { future.set_result("f"); });
    const auto results = co_await gather(task, future, nothing(), sleep(1ms, 2.5), gather(number(3), number(4)));
    static_assert(std::is_same_v<decltype(results),
                                 const std::tuple<int, std::string, Unit, double, std::tuple<int, int>>>);
    EXPECT_EQ(results, std::make_tuple(1, std::string("f"), Unit{}, 2.5, std::make_tuple(3, 4)));
}

CO_TEST(Gather, RethrowsTheFirstErrorAndLetsTheOthersFinish) {
    Trace log;
    const auto good = [&]() -> Coro<> {
        co_await sleep(10ms);
        log("the other finishes");
    };
    log(co_await got_message(gather(good(), fail_after(1ms, "x"))));
    log("awaiter goes on");
    co_await sleep(30ms);
    EXPECT_TRUE(log.shows({"!Err(x)", "awaiter goes on", "the other finishes"}));
}

CO_TEST(Gather, RethrowsTheVeryExceptionOfTheChild) {
    const Task<int> child = create_task(fail_after(1ms, "x"));
    std::exception_ptr seen;
    try {
        co_await gather(child, number(1));
    } catch (const Err&) {
        seen = std::current_exception();
    }
    EXPECT_EQ(seen, child.exception());
}

CO_TEST(Gather, ReturnsExceptionsInTheirPlaces) {
    const auto [a, b, c] = co_await gather(return_exceptions, number_after(1ms, 3), fail_after(0ms, "x"), nothing());
    static_assert(std::is_same_v<decltype(a), const Result<int>> && std::is_same_v<decltype(c), const Result<void>>);
    EXPECT_EQ(a.value(), 3);
    EXPECT_FALSE(b.has_value());
    EXPECT_EQ(error_text(b.error(), true), "!Err(x)");
    EXPECT_TRUE(c.has_value());
}

CO_TEST(Gather, ReturnsExceptionsInAVector) {
    std::vector<Coro<int>> children;
    children.push_back(number(3));
    children.push_back(fail_after(1ms, "x"));
    children.push_back(number(1));
    const std::vector<Result<int>> results = co_await gather(return_exceptions, std::move(children));
    EXPECT_EQ(results.size(), 3U);
    EXPECT_EQ(results[0].value(), 3);
    EXPECT_EQ(error_text(results[1].error()), "!Err");
    EXPECT_EQ(results[2].value(), 1);
}

CO_TEST(Gather, OfNothingIsDoneAndDoesNotSuspend) {
    Trace log;
    auto none = gather();
    EXPECT_TRUE(none.done());
    EXPECT_EQ(none.result(), std::tuple<>());
    get_running_loop().call_soon([&] { log("loop ran"); });
    co_await none;
    co_await gather();
    const std::vector<int> empty = co_await gather(std::vector<Coro<int>>());
    EXPECT_TRUE(empty.empty());
    const auto results = co_await gather(return_exceptions, std::vector<Task<int>>());
    EXPECT_TRUE(results.empty());
    EXPECT_TRUE(gather(std::vector<Coro<>>()).done());
    log("not suspended");
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"not suspended", "loop ran"}));
}

CO_TEST(Gather, TakesRangesOfAnyChild) {
    std::vector<Coro<>> coros;
    coros.push_back(nothing());
    coros.push_back(nothing());
    const std::vector<Unit> units = co_await gather(std::move(coros));
    EXPECT_EQ(units.size(), 2U);
    std::vector<Task<int>> tasks = both(create_task(number(1)), create_task(number(2)));
    const std::vector<int> first = co_await gather(tasks);
    EXPECT_EQ(first, (std::vector<int>{1, 2}));
    const std::vector<int> second = co_await gather(std::as_const(tasks));
    EXPECT_EQ(second, first);
    std::list<Future<int>> futures(2);
    futures.front().set_result(5);
    futures.back().set_result(6);
    const std::vector<int> third = co_await gather(futures);
    EXPECT_EQ(third, (std::vector<int>{5, 6}));
}

CO_TEST(Gather, GivesTheSameTaskAtEachOfItsPlaces) {
    const Task<int> task = create_task(number_after(1ms, 4));
    const auto results = co_await gather(task, task, number(1), task);
    EXPECT_EQ(results, std::make_tuple(4, 4, 1, 4));
    const Task<std::string> text = create_task(sleep(1ms, std::string("a text longer than a small one")));
    const std::vector<std::string> texts = co_await gather(both(text, text));
    EXPECT_EQ(texts[0], texts[1]);
    EXPECT_EQ(texts[0], text.result());
}

CO_TEST(Gather, MovesMoveOnlyResults) {
    const auto make = [](int value) -> Coro<std::unique_ptr<int>> { co_return std::make_unique<int>(value); };
    const auto [a, b] = co_await gather(make(1), spawn(make(2)));
    EXPECT_EQ(*a + *b, 3);
    const auto [c] = co_await gather(return_exceptions, make(3));
    EXPECT_EQ(*c.value(), 3);
}

CO_TEST(Gather, StartsItsChildrenAtTheCall) {
    Trace log;
    const auto child = [&](int which) -> Coro<> {
        log(which);
        co_return;
    };
    auto handle = gather(child(1), child(2));
    log("called");
    co_await tick();
    log("awaiting");
    co_await std::move(handle);
    EXPECT_TRUE(log.shows({"called", "1", "2", "awaiting"}));
}

CO_TEST(Gather, AHandleIsAFuture) {
    auto handle = gather(number(1), number_after(1ms, 2));
    EXPECT_FALSE(handle.done());
    EXPECT_EQ(call([&] { handle.result(); }), "!InvalidStateError");
    bool is_called = false;
    handle.add_done_callback([&] { is_called = true; });
    const Future<std::tuple<int, int>> future = handle;
    auto moved = std::move(handle);
    const auto first = co_await moved;
    const auto second = co_await future;
    EXPECT_EQ(first, second);
    EXPECT_TRUE(moved.done());
    EXPECT_FALSE(moved.cancelled());
    EXPECT_EQ(moved.result(), std::make_tuple(1, 2));
    EXPECT_EQ(moved.exception(), nullptr);
    EXPECT_TRUE(is_called);
    const auto third = co_await std::move(moved);
    EXPECT_EQ(third, first);
}

CO_TEST(Gather, AVectorHandleConvertsToAFuture) {
    std::vector<Task<int>> tasks = both(create_task(number(1)), create_task(number(2)));
    const Future<std::vector<int>> future = gather(tasks);
    const std::vector<int> values = co_await future;
    EXPECT_EQ(values, (std::vector<int>{1, 2}));
    const auto nested = co_await gather(gather(tasks), future);
    EXPECT_EQ(std::get<0>(nested), std::get<1>(nested));
}

CO_TEST(Gather, ADroppedHandleDropsNoChild) {
    Trace log;
    const auto child = [&]() -> Coro<> {
        co_await sleep(1ms);
        log("child finishes");
    };
    {
        const auto handle = gather(number(1), child());
        EXPECT_FALSE(handle.done());
    }
    gather(child(), number(2));
    co_await sleep(5ms);
    EXPECT_TRUE(log.shows({"child finishes", "child finishes"}));
}

CO_TEST(Gather, AChildThatIsCancelledAloneCountsAsItsFailure) {
    Future<int> a;
    Future<int> b;
    Future<int> c;
    auto handle = gather(a, b, c);
    EXPECT_FALSE(handle.done());
    a.set_result(1);
    b.cancel();
    co_await tick(2);
    EXPECT_TRUE(handle.done());
    EXPECT_FALSE(handle.cancelled());
    EXPECT_EQ(error_text(handle.exception()), "!CancelledError");
    EXPECT_FALSE(c.done());
}

CO_TEST(Gather, ACancelledChildIsAResultAmongReturnedExceptions) {
    Task<> task = create_task([]() -> Coro<> { co_await sleep(kForever); });
    get_running_loop().call_soon([&] { task.cancel(); });
    const auto [a, b] = co_await gather(return_exceptions, task, number(1));
    EXPECT_EQ(error_text(a.error()), "!CancelledError");
    EXPECT_EQ(b.value(), 1);
}

CO_TEST(Gather, CancelIsRefusedOnceAllChildrenAreDone) {
    Trace log;
    Future<int> future;
    const auto child = [](Future<int> awaited) -> Coro<int> { co_return co_await awaited; };
    auto handle = gather(child(future));
    EXPECT_FALSE(handle.done());
    co_await tick();
    future.add_done_callback([&] { get_running_loop().call_soon([&] { log(handle.cancel()); }); });
    future.set_result(42);
    const auto [value] = co_await handle;
    log(value);
    EXPECT_TRUE(log.shows({"false", "42"}));
}

CO_TEST(Gather, ErrorsAfterTheFirstAreNotReported) {
    Trace log;
    on_error(log);
    log(co_await got(gather(fail_after(1ms, "a"), fail_after(5ms, "b"))));
    co_await sleep(20ms);
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"!Err"}));
}

CO_TEST(Gather, ACancelledAwaiterWaitsForAChildThatSwallowsTheCancellation) {
    Trace log;
    const auto stubborn = [&]() -> Coro<int> {
        bool was_cancelled = false;
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            was_cancelled = true;
        }
        co_await sleep(5ms);
        log("stubborn returns", was_cancelled);
        co_return 1;
    };
    Task<> task = create_task([&]() -> Coro<> { co_await gather(stubborn(), sleep(0s)); });
    co_await tick(3);
    task.cancel();
    log(co_await got(task));
    EXPECT_TRUE(log.shows({"stubborn returns", "true", "!CancelledError"}));
}

CO_TEST(Gather, CancellationGoesThroughNestedOnesToTheLeaves) {
    Trace log;
    Task<std::string> task = create_task(got(gather(gather(leaf(log, "a"), leaf(log, "b")), leaf(log, "c"))));
    co_await tick(2);
    task.cancel();
    log(co_await task);
    EXPECT_TRUE(log.shows({"a", "b", "c", "!CancelledError"}));
}

CO_TEST(Gather, CancellingAHandleCancelsItsChildren) {
    Trace log;
    auto handle = gather(leaf(log, "a"), leaf(log, "b"));
    EXPECT_FALSE(handle.done());
    co_await tick();
    EXPECT_TRUE(handle.cancel("why"));
    EXPECT_FALSE(handle.done());
    log(co_await got_message(std::move(handle)));
    EXPECT_TRUE(log.shows({"a", "b", "!CancelledError(why)"}));
}

CO_TEST(Gather, ChildrenCancelledBeforeTheirFirstStepNeverRun) {
    Trace log;
    const auto child = [&](int which) -> Coro<> {
        log(which);
        co_return;
    };
    Task<> task = create_task([&]() -> Coro<> { co_await gather(child(1), child(2)); });
    co_await sleep(0s);
    task.cancel();
    log(co_await got(task));
    EXPECT_TRUE(log.shows({"!CancelledError"}));
}

CO_TEST(Gather, CancelAfterItHasFailedDoesNothing) {
    Trace log;
    const auto slow = [&]() -> Coro<> {
        co_await sleep(10ms);
        log("slow finished");
    };
    auto handle = gather(slow(), fail_after(0ms, "x"));
    const Future<std::tuple<Unit, int>> future = handle;
    log(co_await got(future));
    log(handle.cancel());
    co_await sleep(30ms);
    EXPECT_TRUE(log.shows({"!Err", "false", "slow finished"}));
}

TEST(Gather, WithoutALoopStartsNothing) {
    EXPECT_EQ(call_message([] { gather(number(1)); }), "!RuntimeError(no running event loop)");
}

CO_TEST(Gather, OfChildrenThatAreDoneDoesNotSuspend) {
    Trace log;
    const Task<int> task = create_task(number(1));
    co_await task;
    get_running_loop().call_soon([&] { log("loop ran"); });
    const auto [a, b] = co_await gather(task, task);
    log(a + b);
    co_await sleep(0s);
    EXPECT_TRUE(log.shows({"2", "loop ran"}));
}

CO_TEST_ON_LOOPS(Gather, OfSpawnedTasksGivesAllResultsOnTheAwaitersLoop) {
    Loop& home = get_running_loop();
    for (int round = 0; round < 5; ++round) {
        std::vector<Task<int>> children;
        for (int i = 0; i < 100; ++i) {
            children.push_back(spawn(number_after(i % 7 == 0 ? 1ms : 0ms, i)));
        }
        const std::vector<int> results = co_await gather(std::move(children));
        EXPECT_EQ(&get_running_loop(), &home);
        for (int i = 0; i < 100; ++i) {
            EXPECT_EQ(results[static_cast<std::size_t>(i)], i);
        }
    }
}

CO_TEST_ON_LOOPS(Gather, OfTasksOnEveryLoopIsCancelledOnEveryLoop) {
    Runtime& runtime = get_runtime();
    Trace log;
    std::vector<Task<>> children;
    for (std::size_t index = 0; index < runtime.size(); ++index) {
        children.push_back(create_task(leaf(log, "leaf"), {.loop = &runtime.loop(index)}));
    }
    Task<std::string> task = create_task(got(gather(children)));
    co_await sleep(1ms);
    task.cancel();
    EXPECT_EQ(co_await task, "!CancelledError");
    for (const Task<>& child : children) {
        EXPECT_EQ(co_await got(child), "!CancelledError");  // the first that ends ends the gather, the others follow
    }
    EXPECT_EQ(log.count("leaf"), runtime.size());
}

CO_TEST_ON_LOOPS(Gather, OfAFailingSpawnedChildRethrows) {
    EXPECT_EQ(co_await got_message(gather(spawn(fail_after(0ms, "s")), spawn(number(1)))), "!Err(s)");
    const auto [a, b] = co_await gather(return_exceptions, spawn(fail_after(1ms, "t")), spawn(number(1)));
    EXPECT_EQ(error_text(a.error(), true), "!Err(t)");
    EXPECT_EQ(b.value(), 1);
}

TEST(Gather, OfFuturesOfAnotherRuntimeIsRefused) {
    Runtime other(on_loops(1));
    const Future<int> foreign = other.loop(0).create_future<int>();
    Runtime runtime(on_loops(1));
    const auto body = [](Future<int> future) -> Coro<std::string> { co_return call([&] { gather(future).done(); }); };
    EXPECT_EQ(runtime.run_until_complete(body(foreign)), "!ValueError");
    EXPECT_EQ(runtime.run_until_complete(got(as_coro(foreign))), "!RuntimeError");
}

}  // namespace
}  // namespace knit::test
