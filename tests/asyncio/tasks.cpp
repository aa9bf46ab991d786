// create_task() and Task: states, names, callbacks, reports.

#include "program.hpp"

#include <algorithm>

namespace knit::pairs {
namespace {

template <class T>
Coro<T> value(T x) {
    co_return x;
}
Coro<int> fails(std::string what) {
    throw Err(what);
    co_return 0;
}
Coro<> forever() { co_await sleep(kForever); }

Coro<> starts_at_the_next_turn() {  // TASK-01
    const auto f = [](int n) -> Coro<> {
        log("starts", n);
        co_return;
    };
    std::vector<Task<>> tasks;
    for (int n = 0; n < 3; ++n) {
        tasks.push_back(create_task(f(n)));
    }
    log("created");
    co_await tick();
    log(list_of<std::string>(show(tasks[0].done()), show(tasks[1].done()), show(tasks[2].done())));
}

Coro<> states() {  // TASK-03
    Task<std::string> t = create_task(value(std::string("ok")));
    log(t.done(), call_message([&] { return t.result(); }), call_message([&] { return t.exception(); }));
    co_await t;
    log(t.done(), t.result(), t.exception(), t.cancelled());
}

Coro<> a_failed_one() {  // TASK-04
    Task<int> t = create_task(fails("x"));
    co_await tick();
    const std::string text = co_await got_message(t);
    log(t.exception(), call_message([&] { return t.result(); }), text, t.cancelled());
}

Coro<> names() {  // TASK-06
    Task<int> a = create_task(value(1), {.name = "one"});
    Task<int> b = create_task(value(2));
    b.set_name("two");
    log(a.name(), b.name());
    co_await gather(a, b);
    log(a.name(), b.name());
}

Coro<> callbacks_and_awaiters_in_order() {  // TASK-07
    const auto f = []() -> Coro<> {
        log("body");
        co_await tick();
        log("end");
    };
    Task<> t = create_task(f());
    const auto waits = [&]() -> Coro<> {
        co_await t;
        log("waiter");
    };
    t.add_done_callback([t](const Task<>& x) { log("callback 1", x == t); });
    Task<> u = create_task(waits());
    co_await tick();
    t.add_done_callback([] { log("callback 2"); });
    co_await u;
}

Coro<> awaited_twice() {  // TASK-09
    const auto f = []() -> Coro<int> {
        log("body");
        co_return 5;
    };
    Task<int> t = create_task(f());
    const int first = co_await t;
    const int second = co_await t;
    log(first, second);
}

Coro<> never_retrieved() {  // TASK-10
    on_error();
    {
        Task<int> t = create_task(fails("lost"));
        co_await tick(2);
        log("before");
    }
    log("after");
}

Coro<> retrieved_by_a_look() {  // TASK-11
    on_error();
    for (const int look : {0, 1, 2}) {
        Task<int> t = create_task(fails("seen"));
        co_await tick(2);
        if (look == 0) {
            static_cast<void>(t.exception());
        } else if (look == 1) {
            call([&] { return t.result(); });
        } else {
            t.cancel();
        }
    }
    log("silent");
}

Coro<> a_cancelled_one_is_not_reported() {
    on_error();
    {
        Task<> t = create_task(forever());
        co_await tick();
        t.cancel();
        co_await tick(2);
    }
    log("silent");
}

Coro<> the_current_one() {  // TASK-13
    const auto f = [](std::string name) -> Coro<> {
        const TaskRef mine = me();
        co_await tick();
        log(name, me() == mine, mine.name() == name);
    };
    Task<> x = create_task(f("x"), {.name = "x"});
    Task<> y = create_task(f("y"), {.name = "y"});
    loop().call_soon([] { log("callback", current_task() ? "a task" : "None"); });
    co_await gather(x, y);
}

std::vector<std::string> names_of(const std::vector<TaskRef>& tasks) {
    std::vector<std::string> names;
    for (const TaskRef& task : tasks) {
        names.push_back(task.name());
    }
    return names;
}
Coro<> all_of_them() {  // TASK-14
    Task<> a = create_task(tick(2), {.name = "a"});
    Task<> b = create_task(tick(2), {.name = "b"});
    me().set_name("main");
    log(names_of(all_tasks()));
    co_await a;
    log(names_of(all_tasks()));
    co_await b;
}

void without_a_loop() {  // TASK-16
    Coro<int> c = value(1);
    log(call_message([&] { create_task(std::move(c)); }));
    log(call_message([] { static_cast<void>(get_running_loop()); }));
}

Coro<> a_dropped_handle_stops_nothing() {  // TASK-19
    const auto f = []() -> Coro<> {
        co_await sleep(2ms);
        log("still ran");
    };
    create_task(f());
    co_await sleep(10ms);
}

Coro<> a_callback_that_throws() {  // TASK-25
    on_error();
    Task<int> t = create_task(value(1));
    t.add_done_callback([] { throw Err("bad"); });
    t.add_done_callback([] { log("good"); });
    const int result = co_await t;
    log(result);
}

Coro<> the_end_shows_a_turn_later() {  // TASK-27
    const auto child = []() -> Coro<> {
        log("child ends");
        loop().call_soon([] { log("queued by child"); });
        co_return;
    };
    const auto parent = [&]() -> Coro<> {
        co_await create_task(child());
        log("parent resumes");
    };
    Task<> t = create_task(parent());
    co_await tick();
    loop().call_soon([] { log("queued meanwhile"); });
    co_await t;
}

Coro<> set_result_is_refused() {
    Task<int> t = create_task(value(1));
    log(call_message([&] { t.set_result(5); }), call_message([&] { t.set_exception(Err()); }));
    const int result = co_await t;
    log(result);
}

Coro<> awaiting_oneself() {
    const auto f = []() -> Coro<std::string> {
        const std::string text = co_await got(me());
        log(text);
        co_return "goes on";
    };
    const std::string text = co_await create_task(f());
    log(text);
}

Coro<> removed_callbacks() {
    Task<int> t = create_task(value(1));
    const std::uint64_t a = t.add_done_callback([] { log("a"); });
    t.add_done_callback([] { log("b"); });
    log(t.remove_done_callback(a));
    co_await t;
    log(t.remove_done_callback(a));
}

Coro<int> node(std::string name, int depth) {
    log("enter", name);
    int total = 1;
    if (depth != 0) {
        Task<int> left = create_task(node(name + "l", depth - 1));
        Task<int> right = create_task(node(name + "r", depth - 1));
        total += co_await right;
        total += co_await left;
    }
    log("leave", name, total);
    co_return total;
}
Coro<> a_tree_of_tasks() {
    const int total = co_await node("n", 3);
    log(total);
}

Coro<> runs(std::vector<Task<>>& made, int n) {
    log("runs", n);
    if (n != 0) {
        loop().call_soon([&made, n] { made.push_back(create_task(runs(made, n - 1))); });
    }
    co_await tick();
    log("ends", n);
}
Coro<> tasks_that_make_tasks_from_callbacks() {
    std::vector<Task<>> made;
    co_await create_task(runs(made, 3));
    co_await tick(12);
    log(made.size(), std::ranges::all_of(made, [](const Task<>& t) { return t.done(); }));
}

const Family family("tasks", {
    {"starts_at_the_next_turn", starts_at_the_next_turn}, {"states", states}, {"a_failed_one", a_failed_one},
    {"names", names}, {"callbacks_and_awaiters_in_order", callbacks_and_awaiters_in_order},
    {"awaited_twice", awaited_twice}, {"never_retrieved", never_retrieved},
    {"retrieved_by_a_look", retrieved_by_a_look}, {"a_cancelled_one_is_not_reported", a_cancelled_one_is_not_reported},
    {"the_current_one", the_current_one}, {"all_of_them", all_of_them}, {"without_a_loop", without_a_loop},
    {"a_dropped_handle_stops_nothing", a_dropped_handle_stops_nothing},
    {"a_callback_that_throws", a_callback_that_throws}, {"the_end_shows_a_turn_later", the_end_shows_a_turn_later},
    {"set_result_is_refused", set_result_is_refused}, {"awaiting_oneself", awaiting_oneself},
    {"removed_callbacks", removed_callbacks}, {"a_tree_of_tasks", a_tree_of_tasks},
    {"tasks_that_make_tasks_from_callbacks", tasks_that_make_tasks_from_callbacks},
});

}  // namespace
}  // namespace knit::pairs
