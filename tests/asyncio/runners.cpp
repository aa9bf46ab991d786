// Runner, the loop between runs, run_in_executor() and to_thread().

#include "program.hpp"

#include <atomic>
#include <thread>

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

void runs_again_on_the_same_loop() {  // RUN-12
    std::vector<Loop*> loops;
    Runner runner(one_loop());
    const auto main = [&](int n) -> Coro<int> {
        loops.push_back(&loop());
        co_await tick();
        co_return n;
    };
    const int first = runner.run(main(1));
    log(first, runner.run(main(2)));
    runner.close();
    log(loops[0] == loops[1], loops[0]->is_closed());
}

void tasks_freeze_between_runs() {  // RUN-15
    Task<> task;
    Event event;
    const auto background = [&]() -> Coro<> {
        log("starts");
        co_await event.wait();
        log("resumed");
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("cancelled");
            throw;
        }
    };
    const auto first = [&]() -> Coro<> {
        task = create_task(background());
        co_await tick(2);
    };
    const auto second = [&]() -> Coro<> {
        event.set();
        co_await tick(3);
        log("second ends", task.done());
    };
    Runner runner(one_loop());
    runner.run(first());
    log("between");
    runner.run(second());
    runner.close();
    log(task.cancelled());
}

void timers_and_spinners_between_runs() {
    const auto spins = []() -> Coro<> {
        for (int n = 0; n < 6; ++n) {
            log("spin", n);
            co_await tick();
        }
    };
    const auto first = [&]() -> Coro<> {
        create_task(spins());
        loop().call_later(2ms, [] { log("timer", now()); });
        co_await tick(2);
        log("first ends");
    };
    const auto second = []() -> Coro<> {
        log("second");
        co_await sleep(5ms);
    };
    Runner runner(one_loop());
    runner.run(first());
    log("between");
    runner.run(second());
}

void misuse() {  // RUN-13, RUN-14
    const auto never = []() -> Coro<> {
        log("never");
        co_return;
    };
    Runner runner(one_loop());
    const auto main = [&]() -> Coro<> {
        log(call_message([&] { runner.run(never()); }));
        co_return;
    };
    runner.run(main());
    runner.close();
    log(call_message([&] { runner.run(never()); }));
    log(call_message([&] { runner.get_loop(); }));
    runner.close();
}

void an_error_leaves_the_runner_usable() {
    const auto fails = []() -> Coro<> {
        co_await tick();
        throw Err("x");
    };
    const auto works = []() -> Coro<std::int64_t> {
        co_await sleep(1ms);
        co_return now();
    };
    Runner runner(one_loop());
    const std::string text = call_message([&] { runner.run(fails()); });
    const std::int64_t first = runner.run(works());
    log(text, first, runner.run(works()));
}

Coro<> a_thread_gives_a_value() {  // TOTHREAD-01, TOTHREAD-02
    const auto here = std::this_thread::get_id();
    const int value = co_await to_thread([] { return 42; });
    const auto is_elsewhere = [here] { return std::this_thread::get_id() != here; };
    const bool elsewhere = co_await to_thread(is_elsewhere);
    log(value, elsewhere);
    const std::string text = co_await got_message(to_thread([] { throw Err("test"); }));
    log(text);
}

Coro<> a_thread_starts_when_awaited() {  // TOTHREAD-05
    Coro<> c = to_thread([] { log("ran"); });
    co_await tick(3);
    log("not yet");
    co_await std::move(c);
}

Coro<> an_executor_starts_at_the_call() {  // TOTHREAD-10
    std::atomic<bool> has_run = false;
    ThreadPoolExecutor executor(1);
    const auto job = [&] {
        has_run = true;
        has_run.notify_one();
        return std::string("value");
    };
    Future<std::string> f = loop().run_in_executor(&executor, job);
    has_run.wait(false);
    log("ran");
    const std::string value = co_await f;
    log(value);
    executor.shutdown();
    log(call([&] { loop().run_in_executor(&executor, job); }));
}

Coro<> a_thread_sees_the_context() {  // TOTHREAD-03
    ContextVar<int> cv("cv", 0);
    cv.set(1);
    const auto job = [&] {
        const int seen = cv.get();
        cv.set(2);
        return seen;
    };
    const int seen = co_await to_thread(job);
    log(seen, cv.get());
}

Coro<> threads_in_a_gather() {
    std::vector<Coro<int>> jobs;
    for (int n = 0; n < 5; ++n) {
        jobs.push_back(to_thread([n] { return n * n; }));
    }
    const std::vector<int> values = co_await gather(std::move(jobs));
    log(values);
}

Coro<> a_thread_calls_the_loop() {  // CALL-10
    Future<std::string> f = fut<std::string>();
    Loop& here = loop();
    const auto job = [&] { here.call_soon_threadsafe([&] { f.set_result("from thread"); }); };
    co_await to_thread(job);
    const std::string value = co_await f;
    log(value);
}

const Family family("runners", {
    {"runs_again_on_the_same_loop", runs_again_on_the_same_loop},
    {"tasks_freeze_between_runs", tasks_freeze_between_runs},
    {"timers_and_spinners_between_runs", timers_and_spinners_between_runs}, {"misuse", misuse},
    {"an_error_leaves_the_runner_usable", an_error_leaves_the_runner_usable},
    {"a_thread_gives_a_value", a_thread_gives_a_value}, {"a_thread_starts_when_awaited", a_thread_starts_when_awaited},
    {"an_executor_starts_at_the_call", an_executor_starts_at_the_call},
    {"a_thread_sees_the_context", a_thread_sees_the_context}, {"threads_in_a_gather", threads_in_a_gather},
    {"a_thread_calls_the_loop", a_thread_calls_the_loop},
});

}  // namespace
}  // namespace knit::pairs
