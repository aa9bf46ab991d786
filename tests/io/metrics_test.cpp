// Metrics on real threads and a real kernel.

#include "knit/metrics.hpp"

#include <sys/socket.h>

#include <string_view>
#include <thread>

#include "io_test.hpp"

namespace knit::test {
namespace {

Coro<> echo_times(int times) {
    Pair pair = co_await connected_pair();
    const std::string_view text = "knit";
    char buffer[16];
    for (int i = 0; i < times; ++i) {
        co_await pair.near.write(text);
        co_await pair.far.read_some(buffer);
    }
}

TEST(Metrics, OperationsThatWereSubmittedHaveEnded) {
    Runtime runtime({.loops = 1});
    runtime.run_until_complete(echo_times(10));
    const LoopMetrics few = runtime.metrics().loops[0];
    runtime.run_until_complete(echo_times(30));
    const LoopMetrics many = runtime.metrics().loops[0];
    EXPECT_EQ(few.operations_submitted, few.operations_ended);
    EXPECT_EQ(many.operations_in_flight, 0U);
    // A write and a read each, at most: a plain call may do it without an operation.
    EXPECT_LE(many.operations_ended - few.operations_ended, few.operations_ended + 40);
    EXPECT_GE(many.operations_ended, few.operations_ended + 30);
    EXPECT_GE(many.enters, few.enters + 30);
}

TEST(Metrics, AWriteWithoutACopyEndsOnceThoughTheKernelSpeaksTwice) {
    Runtime runtime({.loops = 1});
    runtime.run_until_complete([]() -> Coro<> {
        Pair pair = co_await connected_pair();
        pair.near.zero_copy_threshold(1);
        char buffer[16];
        for (int i = 0; i < 10; ++i) {
            co_await pair.near.write("knit");
            co_await pair.far.read_some(buffer);
        }
    });
    const LoopMetrics metrics = runtime.metrics().loops[0];
    EXPECT_GE(metrics.operations_submitted, 10U);
    EXPECT_EQ(metrics.operations_submitted, metrics.operations_ended);
}

TEST(Metrics, AnOperationUnderWayIsSeen) {
    Runtime runtime({.loops = 1});
    std::uint64_t in_flight = 0;
    runtime.run_until_complete([&]() -> Coro<> {
        Pair pair = co_await connected_pair();
        Task<> waits = create_task(echo(std::move(pair.far)));
        co_await turns();
        in_flight = runtime.metrics().loops[0].operations_in_flight;
        pair.near.close();
        co_await waits;
    });
    EXPECT_EQ(in_flight, 1U);
}

TEST(Metrics, ALoopThatSleepsHasParkedAndWasNotBusy) {
    Runtime runtime({.loops = 1});
    runtime.run_until_complete([]() -> Coro<> { co_await sleep(20ms); });
    const Metrics metrics = runtime.metrics();
    EXPECT_GE(metrics.loops[0].parks, 1U);
    EXPECT_GE(metrics.loops[0].enters, 1U);
    EXPECT_EQ(metrics.loops[0].timers_fired, 1U);
    EXPECT_LT(metrics.loops[0].busy, metrics.uptime);
    EXPECT_EQ(metrics.loops[0].resting, 1U);
}

TEST(Metrics, ALoopThatIsBlockedIsBusy) {
    Runtime runtime({.loops = 1});
    Duration before{};
    Duration after{};
    runtime.run_until_complete([&]() -> Coro<> {
        before = runtime.metrics().loops[0].busy;
        std::this_thread::sleep_for(20ms);
        after = runtime.metrics().loops[0].busy;
        co_return;
    });
    EXPECT_GE(after - before, 20ms);
    EXPECT_EQ(runtime.metrics().loops[0].busy, runtime.metrics().loops[0].busy);  // it stands still between two runs
}

TEST(Metrics, ProcessorTimeIsThatOfTheLoopsThread) {
    Runtime runtime({.loops = 2});
    runtime.run_until_complete([&]() -> Coro<> {
        while (runtime.metrics().loops[0].cpu < 2ms) {
            // Ends: the look itself takes time.
        }
        co_return;
    });
    const Duration after = runtime.metrics().loops[0].cpu;
    EXPECT_GE(after, 2ms);
    runtime.close();
    const Metrics last = runtime.metrics();
    EXPECT_GE(last.loops[0].cpu, after);
    EXPECT_GT(last.loops[1].cpu, 0ns) << "its thread has gone, its time stays";
}

Coro<> wake_loop_1(Runtime& runtime) {
    while (runtime.metrics().loops[0].wakes_sent == 0) {
        runtime.loop(1).call_soon_threadsafe([] {});
        co_await sleep(1ms);
    }
}

TEST(Metrics, AWakeIsCountedByTheOneWhoWakesAndTheOneWhoIsWoken) {
    Runtime runtime({.loops = 2});
    runtime.run_until_complete([&]() -> Coro<> { co_await wait_for(wake_loop_1(runtime), 30s); });
    runtime.close();
    const Metrics metrics = runtime.metrics();
    EXPECT_GE(metrics.loops[0].wakes_sent, 1U);
    EXPECT_GE(metrics.loops[1].messages, 1U);
    // Plain threads wake loops as well.
    EXPECT_GE(metrics.loops[0].wakes_received + metrics.loops[1].wakes_received,
              metrics.loops[0].wakes_sent + metrics.loops[1].wakes_sent);
}

/// Nothing else is sent from loop 0 to loop 1: a task's outcome comes the other way.
Coro<> wake_loop_1_for_work(Runtime& runtime) {
    while (runtime.metrics().loops[0].wakes_sent == 0) {
        co_await spawn(sleep(0s));
        co_await sleep(1ms);
    }
}

TEST(Metrics, AWakeForSpawnedWorkIsCountedByTheOneWhoSpawns) {
    Runtime runtime({.loops = 2});
    runtime.run_until_complete([&]() -> Coro<> { co_await wait_for(wake_loop_1_for_work(runtime), 30s); });
    EXPECT_GE(runtime.metrics().loops[0].wakes_sent, 1U);
}

}  // namespace
}  // namespace knit::test
