// Runtime::all_tasks(): the tasks of every loop, asked by a thread.

#include "co_test.hpp"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace knit::test {
namespace {

Coro<> wait_for(Future<> future) { co_await future; }

TEST(AllTasks, OfTheRuntimeAreThoseOfEveryLoopInTheOrderOfCreation) {
    run([]() -> Coro<> {
        Runtime& runtime = get_runtime();
        Future<> go;
        std::vector<Task<>> made;
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            made.push_back(create_task(wait_for(go), {.loop = &runtime.loop(index)}));
        }
        while (go.ref()->waiter_count() < made.size()) {
            co_await yield();
        }
        std::vector<TaskRef> expected{*current_task()};
        expected.insert(expected.end(), made.begin(), made.end());
        EXPECT_EQ(co_await to_thread([&] { return runtime.all_tasks(); }), expected);
        go.set_result();
        co_await gather(made);
    }, on_loops(4));
}

TEST(AllTasks, OfALoopThatIsNotRunAreSeenByItsOwnerAlone) {
    Runtime runtime(on_loops(1));
    runtime.loop(0).create_task(tick(3));
    EXPECT_EQ(runtime.all_tasks().size(), 1U);
    std::size_t count = 1;
    std::thread thread([&] { count = runtime.all_tasks().size(); });
    thread.join();
    EXPECT_EQ(count, 0U);
}

TEST(AllTasks, AThreadThatAsksIsAnsweredThoughTheLoopStopsMeanwhile) {
    Runtime runtime(on_loops(1));
    for (int round = 0; round < 200; ++round) {
        std::atomic<bool> has_begun{false};
        std::atomic<bool> has_stopped{false};
        std::thread thread([&] {
            do {
                static_cast<void>(runtime.all_tasks());
                has_begun = true;
            } while (!has_stopped);
        });
        while (!has_begun) {
            std::this_thread::yield();
        }
        runtime.run_until_complete(tick(20));
        has_stopped = true;
        thread.join();
    }
}

TEST(AllTasks, OfAClosedRuntimeAreNone) {
    Runtime runtime(on_loops(2));
    runtime.close();
    EXPECT_TRUE(runtime.all_tasks().empty());
}

}  // namespace
}  // namespace knit::test
