// Context variables: each task, callback and thread sees its own.

#include "co_test.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

// CONTEXT-01
CO_TEST_ON_LOOPS(ContextVar, ATaskSeesACopyOfItsCreatorsContext) {
    ContextVar<std::string> var("var", "nope");
    const auto sub = [&]() -> Coro<std::string> {
        co_await yield();
        std::string seen = var.get();
        var.set("inside");
        co_return seen + "/" + var.get();
    };
    const auto here = create_task(sub());
    const auto anywhere = spawn(sub());
    var.set("yes");
    EXPECT_EQ(co_await here, "nope/inside");
    EXPECT_EQ(co_await anywhere, "nope/inside");
    EXPECT_EQ(var.get(), "yes");
}

Coro<bool> keeps_its_own(ContextVar<std::pair<int, int>>& var, int i) {
    bool good = true;
    for (int k = 0; k < 5; ++k) {
        var.set({i, k});
        co_await yield();
        good = good && var.get() == std::pair(i, k);
    }
    co_return good;
}

// CONTEXT-03
CO_TEST_ON_LOOPS(ContextVar, InterleavedTasksKeepTheirOwnValues) {
    ContextVar<std::pair<int, int>> var("var");
    std::vector<Task<bool>> tasks;
    for (int i = 0; i < 50; ++i) {
        tasks.push_back(i % 2 == 0 ? create_task(keeps_its_own(var, i)) : spawn(keeps_its_own(var, i)));
    }
    for (const bool good : co_await gather(tasks)) {
        EXPECT_TRUE(good);
    }
}

// CONTEXT-04
CO_TEST(ContextVar, AnExplicitContextIsSharedByItsTasks) {
    ContextVar<int> var("var");
    const Context context = copy_context();
    const auto swap = [&](int value) -> Coro<int> {
        co_await yield();
        const int old = var.get(-1);
        var.set(value);
        co_return old;
    };
    EXPECT_EQ(co_await create_task(swap(1), {.context = context}), -1);
    EXPECT_EQ(co_await create_task(swap(2), {.context = context}), 1);
    EXPECT_EQ(context.get(var), 2);
    EXPECT_EQ(var.get(-1), -1);
}

CO_TEST_ON_LOOPS(ContextVar, AContextMayBeSharedByTasksOfSeveralLoops) {
    ContextVar<int> var("var", 0);
    const Context context = copy_context();
    const auto set = [&](int value) -> Coro<> {
        for (int turn = 0; turn < 5; ++turn) {
            var.set(value);
            co_await yield();
        }
    };
    std::vector<Task<>> tasks;
    for (int i = 1; i <= 8; ++i) {
        tasks.push_back(spawn(set(i), {.context = context}));
    }
    co_await gather(tasks);
    EXPECT_GT(context.get(var).value_or(0), 0);
    EXPECT_EQ(var.get(), 0);
}

// CONTEXT-06
CO_TEST(ContextVar, GatheredChildrenGetTheirOwnCopies) {
    ContextVar<int> var("var", 0);
    var.set(1);
    const auto change = [&](int value) -> Coro<int> {
        var.set(value);
        co_await yield();
        co_return var.get();
    };
    const auto [a, b] = co_await gather(change(10), change(20));
    EXPECT_EQ(a, 10);
    EXPECT_EQ(b, 20);
    EXPECT_EQ(var.get(), 1);
}

CO_TEST(ContextVar, ACoroutineAwaitedInlineSharesTheContext) {
    ContextVar<int> var("var", 0);
    const auto change = [&]() -> Coro<> {
        var.set(5);
        co_return;
    };
    co_await change();
    EXPECT_EQ(var.get(), 5);
}

// CONTEXT-08
CO_TEST(ContextVar, ResetRestoresTheValueBeforeAlsoAfterASuspension) {
    ContextVar<std::string> var("var", "d");
    const auto token = var.set("x");
    EXPECT_FALSE(token.old_value().has_value());
    co_await yield();
    var.reset(token);
    EXPECT_EQ(var.get(), "d");
    const auto other_token = var.set("y");
    const auto other = [&]() -> Coro<std::string> {
        co_return call_message([&] { var.reset(other_token); }).substr(0, 52);
    };
    EXPECT_EQ(co_await create_task(other()), "!ValueError(Token was created in a different Context");
    EXPECT_EQ(var.get(), "y");
    EXPECT_EQ(call([&] { var.reset(token); }), "!RuntimeError");
    ContextVar<std::string> unlike("unlike");
    EXPECT_EQ(call([&] { unlike.reset(other_token); }), "!ValueError");
}

// CONTEXT-09
CO_TEST(ContextVar, CallbacksAndTimersRunInTheContextOfTheirRegistration) {
    ContextVar<int> var("var", 0);
    var.set(1);
    Future<int> by_timer;
    Future<int> by_turn;
    Future<> trigger;
    Future<int> by_done;
    get_running_loop().call_later(1ms, [&] { by_timer.set_result(var.get()); });
    get_running_loop().call_soon([&] {
        by_turn.set_result(var.get());
        var.set(99);
    });
    trigger.add_done_callback([&] { by_done.set_result(var.get()); });
    var.set(2);
    trigger.set_result();
    EXPECT_EQ(co_await by_turn, 1);
    EXPECT_EQ(co_await by_timer, 1);
    EXPECT_EQ(co_await by_done, 1);
    EXPECT_EQ(var.get(), 2);
}

CO_TEST(ContextVar, ADoneCallbackMayBeGivenItsContext) {
    ContextVar<int> var("var", 0);
    const Context context;
    Future<> future;
    future.add_done_callback([&] { var.set(7); }, context);
    future.set_result();
    co_await tick(2);
    EXPECT_EQ(context.get(var), 7);
    EXPECT_EQ(var.get(), 0);
}

// CONTEXT-10
CO_TEST(ContextVar, TheExceptionHandlerRunsInTheContextOfWhatFailed) {
    Trace log;
    ContextVar<std::string> var("var", "default");
    get_running_loop().set_exception_handler([&](const ExceptionContext&) { log(var.get()); });
    get_running_loop().call_soon([&] {
        var.set("in callback");
        throw Err();
    });
    co_await tick(2);
    const auto fails = [&]() -> Coro<> {
        var.set("in task");
        throw Err();
        co_return;
    };
    {
        const Task<> task = create_task(fails());
        co_await tick(2);
    }
    log(var.get());
    EXPECT_TRUE(log.shows({"in callback", "in task", "default"}));
}

TEST(ContextVar, GetWithoutAValueIsALookupError) {
    const ContextVar<int> var("counter");
    try {
        var.get();
        FAIL();
    } catch (const LookupError& error) {
        EXPECT_NE(std::string(error.what()).find("counter"), std::string::npos);
    }
    EXPECT_EQ(var.get(3), 3);
}

TEST(ContextVar, ThreadsHaveContextsOfTheirOwnAndRunCopiesThat) {
    ContextVar<int> var("var", 0);
    var.set(1);
    std::thread([&] {
        EXPECT_EQ(var.get(), 0);
        var.set(2);
        EXPECT_EQ(var.get(), 2);
    }).join();
    const auto body = [&]() -> Coro<int> {
        const int seen = var.get();
        var.set(3);
        co_return seen;
    };
    EXPECT_EQ(run(body(), on_loops(2)), 1);
    EXPECT_EQ(var.get(), 1);
}

TEST(ContextVar, ContextRunEntersOnceAtATime) {
    ContextVar<int> var("var", 0);
    Context context = copy_context();
    EXPECT_EQ(context.run(
                  [&](int value) {
                      var.set(value);
                      return var.get();
                  },
                  4),
              4);
    EXPECT_EQ(var.get(), 0);
    EXPECT_EQ(context.get(var), 4);
    EXPECT_EQ(call([&] { context.run([&] { context.run([] {}); }); }), "!RuntimeError");
    EXPECT_EQ(call([&] { context.run([] { throw Err(); }); }), "!Err");
    EXPECT_EQ(context.run([&] { return var.get(); }), 4);
}

CO_TEST_ON_LOOPS(ContextVar, ToThreadRunsInACopyOfTheCallersContext) {
    ContextVar<int> var("var", 0);
    var.set(1);
    const int seen = co_await to_thread([&] {
        const int before = var.get();
        var.set(2);
        return before;
    });
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(var.get(), 1);
}

CO_TEST_ON_LOOPS(ContextVar, AValueLivesAsLongAsAContextHasIt) {
    const auto token = std::make_shared<int>(1);
    ContextVar<std::shared_ptr<int>> var("var", nullptr);
    {
        const auto sets = [&]() -> Coro<> {
            var.set(token);
            co_await yield();
        };
        co_await spawn(sets());
    }
    EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace knit::test
