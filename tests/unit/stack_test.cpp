// Where a task stands: get_stack(), and coroutines that are dropped unstarted.

#include "co_test.hpp"

#include <string>
#include <string_view>
#include <vector>

#include "stack.hpp"

namespace knit::test {
namespace {

bool names(const Frame& frame, std::string_view function) {
    return detail::short_name(frame.function).ends_with(function) && frame.file.ends_with("stack_test.cpp");
}

Coro<> innermost(Future<> future) { co_await future; }
Coro<> middle(Future<> future) {
    co_await yield();
    co_await innermost(future);
}
Coro<> outermost(Future<> future) { co_await middle(future); }

CO_TEST(Stack, IsTheChainOfAwaitsTheInnermostFirst) {
    Future<> future;
    const Task<> task = create_task(outermost(future));
    EXPECT_EQ(task.get_stack().size(), 1U);  // not started
    co_await tick(3);
    const std::vector<Frame> stack = task.get_stack();
    EXPECT_EQ(stack.size(), 3U);
    if (stack.size() == 3) {
        EXPECT_TRUE(names(stack[0], "innermost")) << stack[0].function;
        EXPECT_TRUE(names(stack[1], "middle")) << stack[1].function;
        EXPECT_TRUE(names(stack[2], "outermost")) << stack[2].function;
        EXPECT_EQ(stack[1].line, stack[0].line + 3);
        EXPECT_EQ(stack[2].line, stack[0].line + 5);
    }
    future.set_result();
    co_await task;
    EXPECT_TRUE(task.get_stack().empty());
}

Coro<std::vector<Frame>> looks_at_itself() { co_return current_task()->get_stack(); }
Coro<std::vector<Frame>> looks_deeper() { co_return co_await looks_at_itself(); }

CO_TEST_ON_LOOPS(Stack, ARunningTaskSeesItsOwn) {
    const std::vector<Frame> stack = co_await spawn(looks_deeper());
    EXPECT_EQ(stack.size(), 2U);
    if (stack.size() == 2) {
        EXPECT_TRUE(names(stack[0], "looks_at_itself")) << stack[0].function;
        EXPECT_TRUE(names(stack[1], "looks_deeper")) << stack[1].function;
    }
}

CO_TEST(Stack, AfterAnInlineAwaitTheAwaiterIsTheInnermostAgain) {
    const auto body = []() -> Coro<std::size_t> {
        co_await tick(2);
        co_return current_task()->get_stack().size();
    };
    EXPECT_EQ(co_await create_task(body()), 1U);
}

CO_TEST(NeverAwaited, IsWarnedOfInDebugMode) {
    const LogCapture log;
    { const Coro<> quiet = outermost(Future<>()); }
    EXPECT_TRUE(log.records().empty());
    get_running_loop().set_debug(true);
    { const Coro<> forgotten = outermost(Future<>()); }
    EXPECT_TRUE(log.has(LogLevel::warning, "outermost' was never awaited\nCoroutine created at (most recent call"));
    EXPECT_TRUE(log.has(LogLevel::warning, "stack_test.cpp:"));
    co_return;
}

CO_TEST(NeverAwaited, ClosedAwaitedOrRefusedIsNot) {
    const LogCapture log;
    get_running_loop().set_debug(true);
    Coro<> closed = outermost(Future<>());
    closed.close();
    Future<> done;
    done.set_result();
    co_await outermost(done);
    EXPECT_EQ(call([&] { run(outermost(done)); }), "!RuntimeError");
    Task<> cancelled = create_task(outermost(done));
    cancelled.cancel();
    EXPECT_EQ(co_await got(cancelled), "!CancelledError");
    EXPECT_TRUE(log.records().empty());
}

TEST(ShortName, IsTheQualifiedNameOfTheFunction) {
    EXPECT_EQ(detail::short_name("knit::Coro<int> app::work(int)"), "app::work");
    EXPECT_EQ(detail::short_name("Coro<> app::Server::handle(std::pair<int, int>, const char*) const"),
              "app::Server::handle");
    EXPECT_EQ(detail::short_name("knit::Coro<T> app::twice(T) [with T = int]"), "app::twice");
    EXPECT_EQ(detail::short_name("knit::Coro<T> app::twice(T) [T = int]"), "app::twice");
    EXPECT_EQ(detail::short_name("main()::<lambda(int)>"), "main()::<lambda(int)>");
    EXPECT_EQ(detail::short_name("auto main()::(anonymous class)::operator()(int) const"),
              "main()::(anonymous class)::operator()");
    EXPECT_EQ(detail::short_name("Coro<> (anonymous namespace)::work()"), "(anonymous namespace)::work");
    EXPECT_EQ(detail::short_name("work"), "work");
    EXPECT_EQ(detail::short_name(""), "");
}

}  // namespace
}  // namespace knit::test
