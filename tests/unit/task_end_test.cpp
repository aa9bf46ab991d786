// What a parameter's destructor may do while its task ends, and what else goes on at that moment.

#include "co_test.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace knit::test {
namespace {

/// Calls its function when it ends; moved, it does so once.
struct AtEnd {
    explicit AtEnd(std::function<void()> what) : function(std::make_unique<std::function<void()>>(std::move(what))) {}
    AtEnd(AtEnd&&) noexcept = default;
    AtEnd& operator=(AtEnd&&) = delete;
    ~AtEnd() {
        if (function != nullptr) {
            (*function)();
        }
    }
    std::unique_ptr<std::function<void()>> function;
};
Coro<int> gives(int value, AtEnd) { co_return value; }
Coro<> suspends() { co_await yield(); }
Coro<> at_once() { co_return; }

CO_TEST_ON_LOOPS(TaskEnd, AnEagerTaskThatEndsAtOnceMayStartInAParametersDestructor) {
    AtEnd starts([] { create_task(at_once(), {.eager_start = true}); });
    const Task<int> task = spawn(gives(1, std::move(starts)));
    EXPECT_EQ(co_await task, 1);
}

CO_TEST_ON_LOOPS(TaskEnd, AnEagerTaskThatSuspendsMayStartInAParametersDestructor) {
    AtEnd starts([] { create_task(suspends(), {.eager_start = true}); });
    Task<int> task = create_task(gives(1, std::move(starts)));
    EXPECT_EQ(co_await std::move(task), 1);
    AtEnd forgotten([] { create_task(suspends(), {.eager_start = true}); });
    create_task(gives(2, std::move(forgotten)));
    co_await tick(3);
}

CO_TEST_ON_LOOPS(TaskEnd, AnEagerTaskDoesNotLetAGatherGoOnTooSoon) {
    int order = 0;
    int at_destruction = 0;
    AtEnd starts([&] {
        create_task(at_once(), {.eager_start = true});
        at_destruction = ++order;
    });
    const auto [value] = co_await gather(spawn(gives(1, std::move(starts))));
    EXPECT_EQ(value, 1);
    EXPECT_EQ(at_destruction, 1);
    EXPECT_EQ(++order, 2);
}

CO_TEST(TaskEnd, AContextThatATaskMadeItselfGoesWithIt) {
    const auto token = std::make_shared<int>(1);
    ContextVar<std::shared_ptr<int>> var("var", nullptr);
    const auto sets = [&]() -> Coro<int> {
        var.set(token);
        co_return 1;
    };
    EXPECT_EQ(co_await create_task(sets()), 1);
    EXPECT_EQ(co_await spawn(sets()), 1);
    co_await tick(2);
    EXPECT_EQ(token.use_count(), 1);
}

CO_TEST(TaskEnd, CancellingACycleThatLeadsThroughAGatherEndsIt) {
    Task<> second;
    const auto waits_for_second = [&]() -> Coro<> { co_await gather(second); };
    Task<> first = create_task(waits_for_second());
    const auto waits_for_first = [&]() -> Coro<> { co_await first; };
    second = create_task(waits_for_first());
    co_await tick(3);
    first.cancel();
    EXPECT_EQ(co_await got(first), "!CancelledError");
    EXPECT_EQ(co_await got(second), "!CancelledError");
}

TEST(TaskEnd, AShutdownErrorIsReportedOfATaskThatIsDone) {
    Trace log;
    const auto leftover = []() -> Coro<> {
        const Result<void> outcome = co_await as_result(sleep(kForever));
        throw Err("boom");
    };
    const auto body = [&]() -> Coro<> {
        get_running_loop().set_exception_handler(
            [&](const ExceptionContext& context) { log(context.message, context.task->exception() != nullptr); });
        create_task(leftover());
        co_await yield();
    };
    run(body(), on_loops(1));
    EXPECT_TRUE(log.shows({"unhandled exception during run() shutdown", "true"}));
}

CO_TEST(TaskEnd, TheParametersOfATaskThatNeverStartsEndAsPartOfIt) {
    std::string seen;
    AtEnd looks([&] { seen = current_task().has_value() ? current_task()->name() : "none"; });
    Task<int> task = create_task(gives(1, std::move(looks)), {.name = "unstarted"});
    task.cancel();
    EXPECT_EQ(co_await got(task), "!CancelledError");
    EXPECT_EQ(seen, "unstarted");
}

CO_TEST(TaskEnd, ATaskThatEndsIsNotAmongAllTasks) {
    bool lists_done = false;
    AtEnd looks([&] {
        for (const TaskRef& task : all_tasks()) {
            lists_done = lists_done || task.done();
        }
    });
    co_await gather(spawn(gives(1, std::move(looks))));
    EXPECT_FALSE(lists_done);
}

}  // namespace
}  // namespace knit::test
