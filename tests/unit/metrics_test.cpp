// What is counted, exactly, of programs whose course is known. The socket and the real clock: tests/io.

#include "knit/metrics.hpp"

#include <string>
#include <thread>

#include "co_test.hpp"
#include "knit/detail/counters.hpp"

namespace knit::test {
namespace {

Coro<> nothing() { co_return; }

Coro<> nap(Duration time) { co_await sleep(time); }

Coro<> make_naps(int count) {
    std::vector<Task<>> tasks;
    for (int i = 0; i < count; ++i) {
        tasks.push_back(create_task(nap(1s)));
    }
    for (Task<>& task : tasks) {
        co_await task;
    }
}

Coro<> spawn_many(int count) {
    std::vector<Task<>> tasks;
    for (int i = 0; i < count; ++i) {
        tasks.push_back(spawn(nothing()));
    }
    for (Task<>& task : tasks) {
        co_await task;
    }
}

/// The whole of a program's metrics, on one loop.
LoopMetrics loop_metrics(Coro<> program) {
    Runtime runtime(on_loops(1));
    runtime.run_until_complete(std::move(program));
    return runtime.metrics().loops.at(0);
}

TEST(Metrics, ATaskThatSleepsIsOneTimerAndThreeSteps) {
    const LoopMetrics few = loop_metrics(make_naps(10));
    const LoopMetrics many = loop_metrics(make_naps(30));
    EXPECT_EQ(few.timers_fired, 10U);
    EXPECT_EQ(many.timers_fired, 30U);
    EXPECT_EQ(few.tasks_made, 10U);  // main was made before the loop ran
    EXPECT_EQ(few.tasks_ended, 11U);
    EXPECT_EQ(few.offers, 0U);
    EXPECT_EQ(few.timers, 0U);
    // Its first step, the timer, what follows. That main is woken by the first of them is the same for both.
    EXPECT_EQ(many.steps - few.steps, 60U);
}

TEST(Metrics, AClosedRuntimeHasNoTimers) {
    Runtime runtime(on_loops(1));
    const Handle handle = runtime.loop(0).call_later(1h, [] {});
    runtime.run_until_complete(nap(1s));
    EXPECT_EQ(runtime.metrics().loops.at(0).timers, 1U);
    runtime.close();
    EXPECT_EQ(runtime.metrics().loops.at(0).timers, 0U);
}

TEST(Metrics, TimersThatAreSetAreSeenWhileTheyWait) {
    Runtime runtime(on_loops(1));
    std::uint64_t seen = 0;
    runtime.run_until_complete([&]() -> Coro<> {
        Task<> first = create_task(nap(2s));
        Task<> second = create_task(nap(2s));
        co_await sleep(1s);
        seen = runtime.metrics().loops[0].timers;
        co_await first;
        co_await second;
    });
    EXPECT_EQ(seen, 2U);  // main's own has fired
    EXPECT_EQ(runtime.metrics().loops[0].timers, 0U);
}

TEST(Metrics, TheRunQueueIsSeenAsLongAsTheLastTurnFoundIt) {
    Runtime runtime(on_loops(1));
    std::uint64_t seen = 0;
    runtime.run_until_complete([&]() -> Coro<> {
        std::vector<Task<>> tasks;
        for (int i = 0; i < 7; ++i) {
            tasks.push_back(create_task(nothing()));
        }
        co_await yield();  // the seven, and main after them
        co_await yield();
        seen = runtime.metrics().loops[0].ready;
    });
    EXPECT_EQ(seen, 8U);
}

TEST(Metrics, MessagesAreThoseOfOtherThreads) {
    Runtime runtime(on_loops(1));
    int ran = 0;
    const std::uint64_t before = runtime.metrics().loops[0].messages;
    std::thread([&] {
        for (int i = 0; i < 5; ++i) {
            runtime.loop(0).call_soon_threadsafe([&ran] { ++ran; });
        }
    }).join();
    runtime.run_until_complete(nothing());
    EXPECT_EQ(ran, 5);
    EXPECT_EQ(runtime.metrics().loops[0].messages - before, 5U);
}

TEST(Metrics, EachSpawnedTaskIsOfferedOnceAndTakenOnce) {
    for (const unsigned loops : {1U, 2U, 4U}) {
        for (std::uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
            SCOPED_TRACE(std::to_string(loops) + " loops, seed " + std::to_string(seed));
            testing::set_seed(seed);
            Runtime runtime(on_loops(loops));
            runtime.run_until_complete(spawn_many(300));
            const Metrics metrics = runtime.metrics();
            ASSERT_EQ(metrics.loops.size(), loops);
            std::uint64_t steals = 0;
            std::uint64_t stolen = 0;
            std::uint64_t ended = 0;
            std::uint64_t taken_elsewhere = 0;
            for (const LoopMetrics& loop : metrics.loops) {
                steals += loop.steals;
                stolen += loop.stolen;
                ended += loop.tasks_ended;
                taken_elsewhere += loop.loop != 0 ? loop.steals + loop.shared_taken : 0;
                EXPECT_EQ(loop.offered, 0U);
                if (loop.loop != 0) {
                    EXPECT_EQ(loop.tasks_ended, loop.steals + loop.shared_taken);
                }
            }
            EXPECT_EQ(metrics.loops[0].offers, 300U);
            EXPECT_EQ(steals, stolen);
            EXPECT_EQ(steals, metrics.loops[0].stolen);
            EXPECT_EQ(ended, 301U);
            EXPECT_EQ(metrics.loops[0].tasks_ended, 301U - taken_elsewhere);
            EXPECT_EQ(metrics.tasks, 0U);
            EXPECT_EQ(metrics.shared, 0U);
        }
    }
    testing::set_seed(1);
}

TEST(Metrics, SpawnedTasksThatWaitAreSeen) {
    Runtime runtime(on_loops(1));
    Metrics seen;
    runtime.run_until_complete([&]() -> Coro<> {
        Task<> first = spawn(nothing());
        Task<> second = spawn(nothing());
        seen = runtime.metrics();
        co_await first;
        co_await second;
    });
    EXPECT_EQ(seen.loops[0].offered, 2U);
    EXPECT_EQ(seen.tasks, 3U);
}

TEST(Metrics, BlockingCallsAreCounted) {
    Runtime runtime(on_loops(1));
    runtime.run_until_complete([]() -> Coro<> {
        for (int i = 0; i < 3; ++i) {
            co_await to_thread([] {});
        }
    });
    const BlockingMetrics blocking = runtime.metrics().blocking;
    EXPECT_EQ(blocking.begun, 3U);
    EXPECT_EQ(blocking.queued, 0U);
    EXPECT_GE(blocking.threads, 1U);
}

TEST(Metrics, UptimeIsTheLoopsTime) {
    Runtime runtime(on_loops(1));
    runtime.run_until_complete(nap(90s));
    EXPECT_EQ(runtime.metrics().uptime, 90s);
}

TEST(Metrics, AfterCloseTheLastNumbersStay) {
    Runtime runtime(on_loops(2));
    runtime.run_until_complete(spawn_many(20));
    runtime.close();
    const Metrics last = runtime.metrics();
    EXPECT_EQ(last.loops[0].offers, 20U);
    EXPECT_EQ(last.tasks, 0U);
    EXPECT_EQ(to_json(last), to_json(runtime.metrics()));
}

TEST(Metrics, PrometheusTextHasHelpAndTypeOnceAndASampleForEachLoop) {
    Metrics metrics;
    metrics.loops.resize(2);
    metrics.loops[1].loop = 1;
    metrics.loops[1].steals = 18446744073709551615U;
    metrics.loops[0].busy = 1500ms;
    metrics.uptime = 2s;
    metrics.blocking.begun = 7;
    const std::string text = to_prometheus(metrics);
    EXPECT_NE(text.find("# HELP knit_loop_steals_total Tasks that the loop took from other loops.\n"
                        "# TYPE knit_loop_steals_total counter\n"
                        "knit_loop_steals_total{loop=\"0\"} 0\n"
                        "knit_loop_steals_total{loop=\"1\"} 18446744073709551615\n"),
              std::string::npos)
        << text;
    EXPECT_NE(text.find("knit_loop_busy_seconds_total{loop=\"0\"} 1.500000000\n"), std::string::npos) << text;
    EXPECT_NE(text.find("# TYPE knit_uptime_seconds gauge\nknit_uptime_seconds 2.000000000\n"), std::string::npos);
    EXPECT_NE(text.find("knit_blocking_begun_total 7\n"), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with('\n'));
}

TEST(Metrics, JsonIsOneLine) {
    Metrics metrics;
    metrics.loops.resize(2);
    const std::string text = to_json(metrics);
    EXPECT_EQ(text.find('\n'), std::string::npos);
    EXPECT_TRUE(text.starts_with("{\"time_seconds\": 0.000000000, \"uptime_seconds\": 0.000000000, ")) << text;
    EXPECT_NE(text.find("\"loops\": [{\"loop\": 0, \"turns\": 0, "), std::string::npos) << text;
    EXPECT_TRUE(text.ends_with("\"cpu_seconds\": 0.000000000, \"blocked_seconds\": 0.000000000}]}")) << text;
}

TEST(BusyClock, CountsFromBeginToEndAndWhileItGoesOn) {
    detail::BusyClock clock;
    const auto total_at = [&](int second) {
        return clock.total([&] { return TimePoint(std::chrono::seconds(second)); });
    };
    EXPECT_EQ(total_at(100), 0s);
    clock.begin(TimePoint(100s));
    EXPECT_EQ(total_at(103), 3s);
    clock.end(TimePoint(105s));
    EXPECT_EQ(total_at(200), 5s);
    clock.begin(TimePoint(300s));
    EXPECT_EQ(total_at(300), 5s);
    EXPECT_EQ(total_at(301), 6s);
    clock.end(TimePoint(302s));
    EXPECT_EQ(total_at(999), 7s);
}

TEST(FramePool, CountsTheBytesThatItHolds) {
    if (KNIT_ASAN) {
        GTEST_SKIP() << "nothing is kept under AddressSanitizer";
    }
    detail::FramePool pool;
    EXPECT_EQ(pool.free_bytes(), 0U);
    void* const first = pool.allocate(100);
    void* const second = pool.allocate(1000);
    const std::size_t before = pool.free_bytes();  // what a batch of the depot has brought
    pool.free(first, 100);
    EXPECT_EQ(pool.free_bytes(), before + 128);
    pool.free(second, 1000);
    EXPECT_EQ(pool.free_bytes(), before + 128 + 1024);
}

}  // namespace
}  // namespace knit::test
