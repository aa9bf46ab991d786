// The members that other programs compile against, each named with its signature. Most of it happens at compile time.

#include "co_test.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

using Handler = std::function<void(const ExceptionContext&)>;
using std::declval;
using std::is_same_v;

[[maybe_unused]] Coro<> no_value() { co_return; }
[[maybe_unused]] Coro<int> a_value() { co_return 1; }
[[maybe_unused]] int add(int a, int b) { return a + b; }
struct Number {};

// Handle
static_assert(is_same_v<decltype(&Handle::cancel), void (Handle::*)()>);
static_assert(is_same_v<decltype(declval<const Handle&>().cancelled()), bool>);
static_assert(is_same_v<decltype(declval<const Handle&>().when()), TimePoint>);
static_assert(std::copyable<Handle> && std::is_default_constructible_v<Handle>);

// Loop
static_assert(!std::is_copy_constructible_v<Loop> && !std::is_copy_assignable_v<Loop>);
static_assert(is_same_v<decltype(declval<const Loop&>().id()), unsigned>);
static_assert(is_same_v<decltype(declval<const Loop&>().time()), TimePoint>);
static_assert(is_same_v<decltype(declval<Loop&>().call_soon([] {})), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().call_soon(add, 1, 2)), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().call_soon_threadsafe([] {})), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().call_later(Duration(), [] {})), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().call_later(1s, add, 1, 2)), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().call_later(std::chrono::duration<double>(0.5), [] {})), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().call_at(TimePoint(), [] {})), Handle>);
static_assert(is_same_v<decltype(declval<Loop&>().create_task(a_value())), Task<int>>);
static_assert(is_same_v<decltype(declval<Loop&>().create_task(a_value(), TaskOptions{.name = "n"})), Task<int>>);
static_assert(is_same_v<decltype(declval<Loop&>().create_task(&a_value)), Task<int>>);
static_assert(is_same_v<decltype(declval<Loop&>().create_task(declval<Future<int>>())), Task<int>>);
static_assert(is_same_v<decltype(declval<Loop&>().create_future()), Future<>>);
static_assert(is_same_v<decltype(declval<Loop&>().create_future<int>()), Future<int>>);
static_assert(is_same_v<decltype(declval<const Loop&>().is_running()), bool>);
static_assert(is_same_v<decltype(declval<const Loop&>().is_closed()), bool>);
static_assert(is_same_v<decltype(&Loop::stop), void (Loop::*)()>);
static_assert(is_same_v<decltype(&Loop::set_exception_handler), void (Loop::*)(Handler)>);
static_assert(is_same_v<decltype(declval<const Loop&>().get_exception_handler()), Handler>);
static_assert(is_same_v<decltype(&Loop::default_exception_handler), void (Loop::*)(const ExceptionContext&)>);
static_assert(is_same_v<decltype(declval<Loop&>().call_exception_handler(ExceptionContext())), void>);
static_assert(is_same_v<decltype(declval<Loop&>().set_debug(true)), void>);
static_assert(is_same_v<decltype(declval<const Loop&>().get_debug()), bool>);
static_assert(is_same_v<decltype(&Loop::slow_callback_duration), Duration Loop::*>);
static_assert(is_same_v<decltype(declval<const Loop&>().timer_count()), std::size_t>);
static_assert(is_same_v<decltype(declval<Loop&>().runtime()), Runtime&>);
static_assert(is_same_v<decltype(declval<Loop&>().run_in_executor(nullptr, add, 1, 2)), Future<int>>);
static_assert(is_same_v<decltype(declval<Loop&>().run_in_executor(declval<ThreadPoolExecutor*>(), [] {})), Future<>>);
static_assert(is_same_v<decltype(declval<Loop&>().shutdown_default_executor()), Coro<>>);
static_assert(is_same_v<decltype(declval<Loop&>().shutdown_default_executor(1s)), Coro<>>);

// What is no callable is no match, and one can ask.
template <class L, class... A>
concept CallsSoon = requires(L& loop, A... arguments) {
    loop.call_soon(std::move(arguments)...);
    loop.call_soon_threadsafe(std::move(arguments)...);
    loop.call_later(1s, std::move(arguments)...);
    loop.call_at(TimePoint(), std::move(arguments)...);
};
static_assert(CallsSoon<Loop, void (*)()>);
static_assert(CallsSoon<Loop, int (*)(int, int), int, short>);
static_assert(CallsSoon<Loop, void (*)(std::unique_ptr<int>), std::unique_ptr<int>>);
static_assert(CallsSoon<Loop, void (*)(std::string&), std::string>);
static_assert(CallsSoon<Loop, void (Number::*)(), Number>);
static_assert(!CallsSoon<Loop, int>);
static_assert(!CallsSoon<Loop, std::nullptr_t>);
static_assert(!CallsSoon<Loop, int (*)(int, int), int>);
static_assert(!CallsSoon<Loop, void (*)(), int>);

template <class L, class... A>
concept RunsInExecutor = requires(L& loop, A... arguments) { loop.run_in_executor(nullptr, std::move(arguments)...); };
static_assert(RunsInExecutor<Loop, void (*)()>);
static_assert(!RunsInExecutor<Loop, int>);
static_assert(!RunsInExecutor<Loop, int (*)(int, int), int>);

// Runtime, Runner, run()
static_assert(!std::is_copy_constructible_v<Runtime> && std::is_constructible_v<Runtime, RunOptions>);
static_assert(std::is_default_constructible_v<Runtime> && !std::is_convertible_v<RunOptions, Runtime>);
static_assert(is_same_v<decltype(declval<Runtime&>().run_until_complete(a_value())), int>);
static_assert(is_same_v<decltype(declval<Runtime&>().run_until_complete(no_value())), void>);
static_assert(is_same_v<decltype(declval<Runtime&>().run_until_complete(declval<Future<int>>())), int>);
static_assert(is_same_v<decltype(declval<Runtime&>().run_until_complete(declval<Task<int>>())), int>);
static_assert(is_same_v<decltype(declval<Runtime&>().run_until_complete(&a_value)), int>);
static_assert(is_same_v<decltype(declval<Runtime&>().run_until_complete(sleep(1s, 5))), int>);
static_assert(is_same_v<decltype(&Runtime::run_forever), void (Runtime::*)()>);
static_assert(is_same_v<decltype(declval<Runtime&>().stop()), void>);
static_assert(is_same_v<decltype(declval<const Runtime&>().size()), std::size_t>);
static_assert(is_same_v<decltype(&Runtime::loop), Loop& (Runtime::*)(std::size_t)>);
static_assert(is_same_v<decltype(declval<Runtime&>().submit(a_value())), Task<int>>);
static_assert(is_same_v<decltype(declval<Runtime&>().submit(&a_value)), Task<int>>);
static_assert(is_same_v<decltype(&Runtime::close), void (Runtime::*)()>);
static_assert(is_same_v<decltype(declval<const Runtime&>().is_closed()), bool>);
static_assert(is_same_v<decltype(declval<Runtime&>().all_tasks()), std::vector<TaskRef>>);
static_assert(is_same_v<decltype(&Runtime::set_exception_handler), void (Runtime::*)(Handler)>);
static_assert(std::is_default_constructible_v<Runner> && std::is_constructible_v<Runner, RunOptions>);
static_assert(is_same_v<decltype(declval<Runner&>().run(a_value())), int>);
static_assert(is_same_v<decltype(declval<Runner&>().run(no_value())), void>);
static_assert(is_same_v<decltype(declval<Runner&>().run(&a_value)), int>);
static_assert(is_same_v<decltype(&Runner::get_loop), Loop& (Runner::*)()>);
static_assert(is_same_v<decltype(&Runner::close), void (Runner::*)()>);
static_assert(is_same_v<decltype(run(a_value())), int>);
static_assert(is_same_v<decltype(run(no_value(), RunOptions{})), void>);
static_assert(is_same_v<decltype(run(&a_value, RunOptions{2, true})), int>);
static_assert(is_same_v<decltype(RunOptions::loops), unsigned>);
static_assert(is_same_v<decltype(RunOptions::debug), std::optional<bool>>);
static_assert(is_same_v<decltype(RunOptions::exception_handler), Handler>);
static_assert(is_same_v<decltype(RunOptions::handle_sigint), std::optional<bool>>);
static_assert(is_same_v<decltype(RunOptions::shutdown_signals), std::vector<int>>);
static_assert(is_same_v<decltype(RunOptions::grace), std::optional<Duration>>);

static_assert(is_same_v<decltype(ExceptionContext::message), std::string>);
static_assert(is_same_v<decltype(ExceptionContext::exception), std::exception_ptr>);
static_assert(is_same_v<decltype(ExceptionContext::task), std::optional<TaskRef>>);
static_assert(is_same_v<decltype(ExceptionContext::loop), Loop*>);
static_assert(is_same_v<decltype(ExceptionContext::source), std::string>);

// Future
static_assert(std::copyable<Future<int>> && std::copyable<Task<int>> && std::copyable<TaskRef>);
static_assert(std::derived_from<Task<int>, Future<int>> && std::is_convertible_v<Task<int>, Future<int>>);
static_assert(is_same_v<Future<int>::value_type, int> && is_same_v<Future<>, Future<void>>);
static_assert(is_same_v<decltype(declval<Future<int>&>().set_result(1)), void>);
static_assert(is_same_v<decltype(declval<Future<std::string>&>().set_result("text")), void>);
static_assert(is_same_v<decltype(declval<Future<>&>().set_result()), void>);
static_assert(is_same_v<decltype(declval<Future<int>&>().set_exception(Err("text"))), void>);
static_assert(is_same_v<decltype(declval<Future<int>&>().set_exception(std::exception_ptr())), void>);
static_assert(is_same_v<decltype(declval<Future<int>&>().cancel()), bool>);
static_assert(is_same_v<decltype(declval<Future<int>&>().cancel("message")), bool>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().done()), bool>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().cancelled()), bool>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().result()), const int&>);
static_assert(is_same_v<decltype(declval<const Future<>&>().result()), void>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().exception()), std::exception_ptr>);
static_assert(is_same_v<decltype(declval<Future<int>&>().add_done_callback([](Future<int>) {})), std::uint64_t>);
static_assert(is_same_v<decltype(declval<Future<int>&>().add_done_callback([] {})), std::uint64_t>);
static_assert(is_same_v<decltype(declval<Future<int>&>().remove_done_callback(1)), std::size_t>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().done_callback_count()), std::size_t>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().get_loop()), Loop&>);
static_assert(is_same_v<decltype(declval<const Future<int>&>().id()), std::uint64_t>);
static_assert(is_same_v<await_result_t<Future<int>>, int> && is_same_v<await_result_t<Future<int>&>, int>);
static_assert(is_same_v<decltype(declval<Future<int>>() == declval<Task<int>>()), bool>);
static_assert(is_same_v<decltype(std::hash<Future<int>>()(declval<Future<int>>())), std::size_t>);
static_assert(std::is_constructible_v<bool, Future<int>> && !std::is_convertible_v<Future<int>, bool>);

// Task, TaskRef
static_assert(is_same_v<decltype(declval<const Task<int>&>().cancelling()), int>);
static_assert(is_same_v<decltype(declval<Task<int>&>().uncancel()), int>);
static_assert(is_same_v<decltype(declval<const Task<int>&>().name()), std::string>);
static_assert(is_same_v<decltype(declval<Task<int>&>().set_name("name")), void>);
static_assert(is_same_v<decltype(declval<Task<int>&>().wait()), int>);
static_assert(is_same_v<decltype(declval<Task<>&>().wait()), void>);
static_assert(is_same_v<decltype(declval<Task<int>&>().wait_for(1s)), bool>);
static_assert(is_same_v<decltype(declval<const Task<int>&>().id()), std::uint64_t>);
static_assert(is_same_v<decltype(declval<Task<int>&>().add_done_callback([](Task<int>) {})), std::uint64_t>);
static_assert(is_same_v<decltype(std::hash<Task<int>>()(declval<Task<int>>())), std::size_t>);
static_assert(std::is_convertible_v<Task<int>, TaskRef> && std::is_default_constructible_v<TaskRef>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().name()), std::string>);
static_assert(is_same_v<decltype(declval<TaskRef&>().set_name("name")), void>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().done()), bool>);
static_assert(is_same_v<decltype(declval<TaskRef&>().cancel("message")), bool>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().cancelled()), bool>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().cancelling()), int>);
static_assert(is_same_v<decltype(declval<TaskRef&>().uncancel()), int>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().exception()), std::exception_ptr>);
static_assert(is_same_v<decltype(declval<TaskRef&>().add_done_callback([](TaskRef) {})), std::uint64_t>);
static_assert(is_same_v<decltype(declval<TaskRef&>().remove_done_callback(1)), std::size_t>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().get_loop()), Loop&>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().id()), std::uint64_t>);
static_assert(is_same_v<decltype(declval<const TaskRef&>().as<int>()), Task<int>>);
static_assert(is_same_v<await_result_t<TaskRef>, Unit>);
static_assert(is_same_v<decltype(declval<TaskRef>() == declval<TaskRef>()), bool>);
static_assert(is_same_v<decltype(declval<TaskRef>() == declval<Task<int>>()), bool>);
static_assert(is_same_v<decltype(declval<Task<int>>() == declval<TaskRef>()), bool>);
static_assert(is_same_v<decltype(std::hash<TaskRef>()(declval<TaskRef>())), std::size_t>);

// Free functions
static_assert(is_same_v<decltype(create_task(a_value())), Task<int>>);
static_assert(is_same_v<decltype(create_task(a_value(), {.name = "n", .loop = nullptr})), Task<int>>);
static_assert(is_same_v<decltype(spawn(a_value())), Task<int>>);
static_assert(is_same_v<decltype(spawn(a_value(), {.name = "n"})), Task<int>>);
static_assert(is_same_v<decltype(run_coroutine_threadsafe(a_value(), declval<Loop&>())), Task<int>>);
static_assert(is_same_v<decltype(current_task()), std::optional<TaskRef>>);
static_assert(is_same_v<decltype(current_task(declval<Loop&>())), std::optional<TaskRef>>);
static_assert(is_same_v<decltype(all_tasks()), std::vector<TaskRef>>);
static_assert(is_same_v<decltype(all_tasks(declval<Loop&>())), std::vector<TaskRef>>);
static_assert(is_same_v<decltype(get_running_loop()), Loop&> && is_same_v<decltype(get_runtime()), Runtime&>);
static_assert(is_same_v<decltype(to_thread(add, 1, 2)), Coro<int>>);
static_assert(is_same_v<decltype(to_string(declval<Task<int>>())), std::string>);
static_assert(is_same_v<decltype(to_string(declval<Future<int>>())), std::string>);
static_assert(is_same_v<decltype(to_string(declval<TaskRef>())), std::string>);

CO_TEST(Api, TheExceptionHandlersCanBeAskedForSetAndCalled) {
    Loop& loop = get_running_loop();
    const LogCapture capture;
    EXPECT_FALSE(static_cast<bool>(loop.get_exception_handler()));
    ExceptionContext context;
    context.message = "by hand";
    loop.call_exception_handler(context);
    EXPECT_TRUE(capture.has(LogLevel::error, "by hand"));
    Trace log;
    loop.set_exception_handler([&](const ExceptionContext& given) { log(given.message); });
    loop.call_exception_handler(context);
    EXPECT_TRUE(log.shows({"by hand"}));
    loop.default_exception_handler(context);
    EXPECT_EQ(capture.records().size(), 2U);
    loop.set_exception_handler(nullptr);
    co_return;
}

CO_TEST(Api, ATimersHandleTellsItsTimeAndTheLoopCountsIt) {
    Loop& loop = get_running_loop();
    Handle handle = loop.call_at(loop.time() + 5ms, [] {});
    EXPECT_EQ(handle.when(), loop.time() + 5ms);
    EXPECT_EQ(loop.timer_count(), 1U);
    handle.cancel();
    EXPECT_EQ(loop.timer_count(), 0U);
    EXPECT_EQ(&loop.runtime(), &get_runtime());
    co_return;
}

TEST(Api, RunUntilCompleteTakesWhateverCanBeAwaited) {
    Runtime runtime(on_loops(1));
    EXPECT_EQ(runtime.run_until_complete(sleep(1ms, std::string("coro value"))), "coro value");
    EXPECT_EQ(runtime.run_until_complete([]() -> Coro<int> { co_return 1; }), 1);
}

}  // namespace
}  // namespace knit::test
