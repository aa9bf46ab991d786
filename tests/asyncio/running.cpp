// run(): results, errors, and what happens to the tasks that are left.

#include "program.hpp"

namespace knit::pairs {
namespace {

/// The tasks of one program, looked at when its run is over.
using Tasks = std::vector<Task<>>;

template <class T>
std::string run_message(Coro<T> main) {
    return call_message([&] { return run_one(std::move(main)); });
}

void gives_the_value() {  // RUN-01
    const auto main = []() -> Coro<int> {
        log("start");
        co_await tick();
        log("end");
        co_return 42;
    };
    log(run_one(main()));
}

void rethrows() {  // RUN-02
    const auto main = []() -> Coro<int> {
        co_await tick();
        throw Err("spam");
    };
    log(run_message(main()));
}

void not_from_a_running_loop() {  // RUN-04
    const auto inner = []() -> Coro<int> {
        log("never");
        co_return 0;
    };
    const auto main = [&]() -> Coro<std::string> {
        log(run_message(inner()));
        co_await tick();
        co_return "outer is fine";
    };
    log(run_one(main()));
}

void again_and_again() {  // RUN-05
    const auto main = [](int i) -> Coro<int> {
        co_await sleep(1ms);
        co_return i;
    };
    std::vector<int> values;
    for (int i = 0; i < 3; ++i) {
        values.push_back(run_one(main(i)));
    }
    log(values);
}

Coro<> left_alone() {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log("cancelled");
        log("cleanup");
        throw;
    }
}
void cancels_what_is_left() {  // RUN-06
    Tasks tasks;
    const auto main = [&]() -> Coro<int> {
        tasks.push_back(create_task(left_alone()));
        co_await tick();
        co_return 123;
    };
    const int value = run_one(main());
    log(value, tasks[0].cancelled());
}

template <class E>
Coro<> left_to_fail(std::string line) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        if (!line.empty()) {
            log(line);
        }
        throw E("left");
    }
}
void reports_errors_of_what_is_left() {  // RUN-07
    const auto main = []() -> Coro<int> {
        on_error();
        create_task(left_to_fail<Err>(""));
        co_await tick();
        co_return 123;
    };
    log(run_one(main()));
}

Coro<> left_to_clean(std::string hit, std::chrono::milliseconds delay, std::string cleaned) {
    const auto body = []() -> Coro<> { co_await sleep(kForever); };
    const auto cleanup = [&]() -> Coro<> {
        if (!hit.empty()) {
            log(hit);
        }
        co_await sleep(delay);
        log(cleaned, now());
    };
    co_await finally(body(), cleanup);
}
void waits_for_cleanup_that_awaits() {  // RUN-08
    const auto main = []() -> Coro<> {
        create_task(left_to_clean("", 5ms, "cleaned"));
        co_await tick();
        log("main done");
    };
    run_one(main());
    log("returned");
}

void the_error_of_main_wins() {  // RUN-09
    const auto main = []() -> Coro<int> {
        on_error();
        create_task(left_to_fail<Err2>("left is cancelled"));
        co_await tick();
        throw Err("main");
    };
    log(run_message(main()));
}

void cancels_all_before_it_waits() {  // RUN-10
    const auto main = []() -> Coro<> {
        create_task(left_to_clean("a hit", 20ms, "a clean"));
        create_task(left_to_clean("b hit", 5ms, "b clean"));
        co_await tick();
    };
    run_one(main());
}

void what_has_not_started_never_does() {
    Tasks tasks;
    const auto left = []() -> Coro<> {
        log("never");
        co_return;
    };
    const auto main = [&]() -> Coro<> {
        tasks.push_back(create_task(left()));
        co_return;
    };
    run_one(main());
    log(tasks[0].cancelled());
}

void a_task_that_swallows_the_cancellation() {
    Task<int> task;
    const auto left = []() -> Coro<int> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("swallowed");
        }
        co_await sleep(3ms);
        log("goes on", now());
        co_return 5;
    };
    const auto main = [&]() -> Coro<> {
        task = create_task(left());
        co_await tick();
    };
    run_one(main());
    log(task.result());
}

Coro<> leaf() {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log("leaf");
        throw;
    }
}
template <class A>
Coro<> waits(std::string name, A on) {
    try {
        co_await std::move(on);
    } catch (const CancelledError&) {
        log(name);
        throw;
    }
}
std::vector<int> requests(const Tasks& tasks) {
    std::vector<int> counts;
    for (const Task<>& task : tasks) {
        counts.push_back(task.cancelling());
    }
    return counts;
}
void what_is_left_in_a_chain() {
    Tasks tasks;
    const auto main = [&]() -> Coro<> {
        Task<> c = create_task(leaf());
        Task<> b = create_task(waits("b", c));
        Task<> a = create_task(waits("a", b));
        Task<> d = create_task(waits("d", gather(c, b).future()));
        tasks = list_of<Task<>>(a, b, c, d);
        co_await tick(3);
    };
    run_one(main());
    std::vector<std::string> states;
    for (const Task<>& task : tasks) {
        states.push_back(show(task.cancelled()));
    }
    log(states);
}

void what_is_left_waits_for_younger_tasks() {
    Tasks tasks;
    const auto parent = [&]() -> Coro<> {
        Task<> child = create_task(leaf());
        tasks.push_back(child);
        co_await waits("parent", child);
    };
    const auto main = [&]() -> Coro<> {
        tasks.push_back(create_task(parent()));
        co_await tick(3);
    };
    run_one(main());
    log(requests(tasks));
}

void main_that_is_cancelled() {  // RUN-23
    const auto main = []() -> Coro<int> {
        me().cancel("bye");
        co_await tick();
        log("never");
        co_return 0;
    };
    log(run_message(main()));
}

void debug_flag() {  // RUN-20
    const auto main = []() -> Coro<bool> { co_return loop().get_debug(); };
    std::vector<std::string> flags;
    const std::optional<bool> unset;
    for (const std::optional<bool> debug : {std::optional<bool>(true), std::optional<bool>(false), unset}) {
        RunOptions options = one_loop();
        options.debug = debug;
        flags.push_back(show(run_one(main(), options)));
    }
    log(flags[0], flags[1], flags[2]);
}

void callbacks_that_are_left_are_dropped() {
    const auto main = []() -> Coro<> {
        loop().call_later(5ms, [] { log("never"); });
        Future<int> f = fut();
        f.add_done_callback([] { log("never either"); });
        co_return;
    };
    run_one(main());
    log("returned");
}

Coro<> spins(std::string name) {
    try {
        for (int n = 0; n < 10; ++n) {
            log(name, n);
            co_await tick();
        }
    } catch (const CancelledError&) {
        log(name, "cancelled");
        throw;
    }
}
void what_main_left_ready_runs_once_more() {
    const auto main = []() -> Coro<> {
        create_task(spins("a"));
        create_task(spins("b"));
        co_await tick(2);
        log("main ends");
    };
    run_one(main());
}

Coro<> waits_for(Future<int> f) {
    try {
        co_await f;
    } catch (const CancelledError&) {
        log("waits: cancelled", f.cancelled());
        throw;
    }
}
Coro<> settles(Future<int> f) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log("settles", f.done());
        throw;
    }
}
void leftovers_await_a_future_that_others_settle() {
    const auto main = []() -> Coro<> {
        Future<int> f = fut();
        create_task(settles(f));
        create_task(waits_for(f));
        create_task(waits_for(f));
        co_await tick();
    };
    run_one(main());
}

const Family family("running", {
    {"gives_the_value", gives_the_value}, {"rethrows", rethrows}, {"not_from_a_running_loop", not_from_a_running_loop},
    {"again_and_again", again_and_again}, {"cancels_what_is_left", cancels_what_is_left},
    {"reports_errors_of_what_is_left", reports_errors_of_what_is_left},
    {"waits_for_cleanup_that_awaits", waits_for_cleanup_that_awaits},
    {"the_error_of_main_wins", the_error_of_main_wins}, {"cancels_all_before_it_waits", cancels_all_before_it_waits},
    {"what_has_not_started_never_does", what_has_not_started_never_does},
    {"a_task_that_swallows_the_cancellation", a_task_that_swallows_the_cancellation},
    {"what_is_left_in_a_chain", what_is_left_in_a_chain},
    {"what_is_left_waits_for_younger_tasks", what_is_left_waits_for_younger_tasks},
    {"main_that_is_cancelled", main_that_is_cancelled}, {"debug_flag", debug_flag},
    {"callbacks_that_are_left_are_dropped", callbacks_that_are_left_are_dropped},
    {"what_main_left_ready_runs_once_more", what_main_left_ready_runs_once_more},
    {"leftovers_await_a_future_that_others_settle", leftovers_await_a_future_that_others_settle},
});

}  // namespace
}  // namespace knit::pairs
