// Exceptions that nobody took.

#include "co_test.hpp"

#include <string>
#include <utility>

namespace knit::test {
namespace {

Coro<> fail() {
    co_await sleep(0s);
    throw Err("lost");
}

CO_TEST(Report, OfATaskComesWhenItsLastHandleIsDropped) {
    Trace log;
    get_running_loop().set_exception_handler([&](const ExceptionContext& context) {
        log(context.message, context.task ? context.task->name() : "no task", error_text(context.exception, true));
    });
    {
        const Task<> task = create_task(fail(), {.name = "unlucky"});
        co_await tick(3);
        log("before the drop");
    }
    log("after the drop");
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"before the drop", "Task exception was never retrieved", "unlucky", "!Err(lost)",
                           "after the drop"}));
}

CO_TEST(Report, OfATaskWithoutAHandleComesAtItsEnd) {
    Trace log;
    on_error(log);
    create_task(fail());
    spawn(fail());
    co_await tick(4);
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_EQ(log.size(), 2U);
    EXPECT_EQ(log.count("handler:Task exception was never retrieved"), 2U);
}

CO_TEST(Report, OfAFutureComesWhenItsLastHandleIsDropped) {
    Trace log;
    on_error(log);
    {
        Future<int> future;
        future.set_exception(Err());
    }
    co_await tick();
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({"handler:Future exception was never retrieved"}));
}

CO_TEST(Report, IsNotMadeOnceSomebodyHasLooked) {
    Trace log;
    on_error(log);
    for (int way = 0; way < 4; ++way) {
        Task<> task = create_task(fail());
        co_await tick(3);
        switch (way) {
            case 0: static_cast<void>(task.exception()); break;
            case 1: call([&] { task.result(); }); break;
            case 2: task.cancel(); break;
            default: co_await got(task); break;
        }
    }
    co_await tick();
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({}));
}

CO_TEST(Report, IsNotMadeOfCancelledOnes) {
    Trace log;
    on_error(log);
    {
        Task<> task = create_task(sleep(1h));
        Future<> future;
        co_await tick();
        task.cancel();
        future.cancel();
        co_await tick(2);
    }
    co_await tick();
    get_running_loop().set_exception_handler(nullptr);
    EXPECT_TRUE(log.shows({}));
}

TEST(Report, WithoutAHandlerGoesToTheLogWithTheTasksName) {
    const LogCapture capture;
    run_one([]() -> Coro<> {
        create_task(fail(), {.name = "nameless no more"});
        co_await tick(3);
    });
    EXPECT_EQ(capture.records().size(), 1U);
    EXPECT_TRUE(capture.has(LogLevel::error, "Task exception was never retrieved"));
    EXPECT_TRUE(capture.has(LogLevel::error, "nameless no more"));
    EXPECT_TRUE(capture.has(LogLevel::error, "lost"));
}

TEST(Report, OfAHandleThatOutlivesTheLoopGoesToTheLog) {
    const LogCapture capture;
    {
        Task<> task;
        run_one([&]() -> Coro<> {
            task = create_task(fail(), {.name = "survivor"});
            co_await tick(3);
        });
    }
    EXPECT_TRUE(capture.has(LogLevel::error, "survivor"));
}

TEST(Report, GoesToTheHandlerOfTheTasksHome) {
    for (std::uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
        testing::set_seed(seed);
        Trace log;
        RunOptions options = on_loops(3);
        options.exception_handler = [&](const ExceptionContext& context) { log(context.message, context.loop->id()); };
        run([]() -> Coro<> {
            create_task(fail(), {.loop = &get_runtime().loop(2)});
            co_await sleep(1ms);
        }, options);
        EXPECT_TRUE(log.shows({"Task exception was never retrieved", "2"}));
    }
    testing::set_seed(1);
}

}  // namespace
}  // namespace knit::test
