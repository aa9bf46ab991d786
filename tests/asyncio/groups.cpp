// TaskGroup: what ends, what is cancelled, which errors come out.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong = kForever;

template <class V>
Coro<V> child(milliseconds delay, V value) {
    try {
        co_await sleep(delay);
    } catch (const CancelledError&) {
        log(value, "cancelled");
        throw;
    }
    log(value, "ends", now());
    co_return value;
}
Coro<std::string> named(milliseconds delay, std::string name) { return child<std::string>(delay, name); }
Coro<> bad(milliseconds delay, std::string what = "bad") {
    co_await sleep(delay);
    log(what, "fails", now());
    throw Err(what);
}
/// Sleeps for good, and says so when it is cancelled.
Coro<> body_sleeps() {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log("body cancelled");
        throw;
    }
}

/// What comes out of the block, as text.
template <class F>
Coro<std::string> got_group(F body) {
    co_return co_await got_message(TaskGroup::run(std::move(body)));
}

Coro<> waits_for_all() {  // TASKGROUP-01
    std::vector<Task<std::string>> tasks;
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        tasks.push_back(tg.create_task(named(10ms, "a")));
        tasks.push_back(tg.create_task(named(1ms, "b")));
        const auto adds = [&]() -> Coro<> {
            co_await sleep(2ms);
            tasks.push_back(tg.create_task(named(5ms, "late")));
        };
        tg.create_task(adds);
        log("body ends");
        co_return;
    };
    co_await TaskGroup::run(body);
    log(list_of<std::string>(tasks[0].result(), tasks[1].result(), tasks[2].result()), now());
}

Coro<> of_nothing_takes_no_turn() {
    loop().call_soon([] { log("loop ran"); });
    const auto body = [](TaskGroup&) -> Coro<> {
        log("body");
        co_return;
    };
    co_await TaskGroup::run(body);
    log("after");
    co_await tick();
}

Coro<> a_failing_task_cancels_the_others() {  // TASKGROUP-02
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(named(kLong, "a"));
        tg.create_task(bad(2ms));
        tg.create_task(named(kLong, "b"));
        tg.create_task(named(1ms, "c"));
        co_await body_sleeps();
    };
    const std::string text = co_await got_group(body);
    log(text, me().cancelling(), now());
}

Coro<> a_failing_task_after_the_body() {
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(named(kLong, "a"));
        tg.create_task(bad(2ms));
        log("body ends");
        co_return;
    };
    const std::string text = co_await got_group(body);
    log(text, me().cancelling(), now());
}

Coro<> several_errors_in_the_order_of_failing() {  // TASKGROUP-04
    const auto late = []() -> Coro<> {
        const auto first = []() -> Coro<> { co_await sleep(kForever); };
        static_cast<void>(co_await as_result(first()));
        co_await sleep(2ms);
        throw Err2("late");
    };
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        tg.create_task(late());
        tg.create_task(bad(2ms, "first"));
        tg.create_task(bad(2ms, "second"));
        co_return;
    };
    const std::string text = co_await got_group(body);
    log(text, now());
}

Coro<> cancelled_from_outside_at_the_end() {  // TASKGROUP-05
    const auto body = [](TaskGroup& tg) -> Coro<> {
        for (int n = 0; n < 3; ++n) {
            tg.create_task(child(kLong, n));
        }
        co_return;
    };
    Task<> t = create_task(TaskGroup::run(body));
    co_await tick(2);
    t.cancel("test");
    const std::string text = co_await got_message(t);
    log(text, t.cancelled());
}

Coro<> cancelled_from_outside_in_the_body() {  // TASKGROUP-06
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(named(kLong, "a"));
        co_await body_sleeps();
    };
    Task<> t = create_task(TaskGroup::run(body));
    co_await tick(2);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, t.cancelling());
}

Coro<> an_error_of_the_body() {  // TASKGROUP-07
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(named(kLong, "a"));
        tg.create_task(named(kLong, "b"));
        co_await tick();
        throw Err("body");
    };
    const std::string text = co_await got_group(body);
    log(text);
}

Coro<> nested_and_cancelled() {  // TASKGROUP-08
    const auto inner_body = [](TaskGroup& inner) -> Coro<> {
        inner.create_task(named(kLong, "inner child"));
        co_await sleep(kForever);
    };
    const auto body = [&](TaskGroup& outer) -> Coro<> {
        outer.create_task(named(kLong, "outer child"));
        co_await TaskGroup::run(inner_body);
    };
    Task<> t = create_task(TaskGroup::run(body));
    co_await tick(2);
    t.cancel();
    const std::string text = co_await got(t);
    log(text);
}

Coro<> nested_and_the_outer_one_fails() {  // TASKGROUP-09
    const auto inner_body = [](TaskGroup& inner) -> Coro<> {
        inner.create_task(named(kLong, "inner child"));
        co_return;
    };
    const auto body = [&](TaskGroup& outer) -> Coro<> {
        outer.create_task(bad(2ms));
        co_await TaskGroup::run(inner_body);
    };
    const std::string text = co_await got_group(body);
    log(text);
}

Coro<> nested_and_the_inner_one_fails() {  // TASKGROUP-10
    const auto inner_body = [](TaskGroup& inner) -> Coro<> {
        inner.create_task(bad(2ms));
        co_return;
    };
    const auto body = [&](TaskGroup& outer) -> Coro<> {
        outer.create_task(named(kLong, "outer child"));
        co_await TaskGroup::run(inner_body);
    };
    const std::string text = co_await got_group(body);
    log(text);
}

Coro<> body_and_task_fail() {  // TASKGROUP-13
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(bad(2ms));
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err2("body");
        }
    };
    const std::string text = co_await got_group(body);
    log(text, me().cancelling());
}

Coro<> no_task_once_it_shuts_down() {  // TASKGROUP-19
    const auto tries = [](TaskGroup& tg) -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log(call([&] { tg.create_task(bad(0ms)); }));
            throw;
        }
    };
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        tg.create_task(tries(tg));
        tg.create_task(bad(0ms));
        co_return;
    };
    const std::string text = co_await got_group(body);
    log(text);
}

Coro<> a_task_that_delays_its_end() {  // TASKGROUP-26
    const auto slow = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("slow");
        }
        co_await sleep(5ms);
        log("slow ends", now());
    };
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        tg.create_task(slow());
        co_await tick();
        tg.create_task(bad(0ms));
    };
    const std::string text = co_await got_group(body);
    log(text, now());
}

Coro<> a_task_that_is_cancelled_alone() {  // TASKGROUP-28
    Task<> a;
    Task<std::string> b;
    Task<std::string> c;
    const auto raises = []() -> Coro<> {
        throw CancelledError();
        co_return;
    };
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        a = tg.create_task(raises());
        b = tg.create_task(named(2ms, "b"));
        c = tg.create_task(named(3ms, "c"));
        co_await sleep(1ms);
        c.cancel();
    };
    co_await TaskGroup::run(body);
    log(a.cancelled(), b.result(), c.cancelled());
}

Coro<> leaving_takes_a_turn() {  // ORDER-05
    Future<int> f = fut();
    const auto waits = [&]() -> Coro<> { co_await f; };
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        tg.create_task(waits());
        tg.create_task(waits());
        co_return;
    };
    Task<> t = create_task(TaskGroup::run(body));
    co_await tick(2);
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> in_a_timeout() {  // TIMEOUT-23
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(named(kLong, "a"));
        tg.create_task(named(kLong, "b"));
        co_return;
    };
    const std::string text = co_await got_message(with_timeout(3ms, TaskGroup::run(body)));
    log(text, me().cancelling(), now());
}

Coro<> a_timeout_in_a_task() {
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(with_timeout(2ms, sleep(kForever)));
        tg.create_task(named(kLong, "a"));
        co_return;
    };
    const std::string text = co_await got(TaskGroup::run(body));
    log(text, now());
}

template <class E>
Coro<> fails(std::string what) {
    throw E(what);
    co_return;
}
Coro<> nested_and_both_fail() {  // TASKGROUP-24
    const auto outer = [](TaskGroup& outer_group) -> Coro<> {
        const auto inner = [&](TaskGroup& tg) -> Coro<> {
            tg.create_task(fails<Err>("1"));
            outer_group.create_task(fails<Err2>("2"));
            co_return;
        };
        const std::string text = co_await got_group(inner);
        log("inner", text, me().cancelling());
        co_await tick();
        log("never");
    };
    const std::string text = co_await got_group(outer);
    log("outer", text, me().cancelling());
}

Coro<> a_failure_while_the_parent_is_cancelled() {  // TASKGROUP-11
    const auto body = [](TaskGroup& tg) -> Coro<> {
        tg.create_task(bad(15ms));
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("cleanup");
        }
        co_await sleep(kForever);
    };
    Task<> t = create_task(TaskGroup::run(body));
    co_await sleep(5ms);
    t.cancel();
    const std::string text = co_await got_message(t);
    log(text, t.cancelling());
}

const Family family("groups", {
    {"waits_for_all", waits_for_all}, {"of_nothing_takes_no_turn", of_nothing_takes_no_turn},
    {"a_failing_task_cancels_the_others", a_failing_task_cancels_the_others},
    {"a_failing_task_after_the_body", a_failing_task_after_the_body},
    {"several_errors_in_the_order_of_failing", several_errors_in_the_order_of_failing},
    {"cancelled_from_outside_at_the_end", cancelled_from_outside_at_the_end},
    {"cancelled_from_outside_in_the_body", cancelled_from_outside_in_the_body},
    {"an_error_of_the_body", an_error_of_the_body}, {"nested_and_cancelled", nested_and_cancelled},
    {"nested_and_the_outer_one_fails", nested_and_the_outer_one_fails},
    {"nested_and_the_inner_one_fails", nested_and_the_inner_one_fails}, {"body_and_task_fail", body_and_task_fail},
    {"no_task_once_it_shuts_down", no_task_once_it_shuts_down},
    {"a_task_that_delays_its_end", a_task_that_delays_its_end},
    {"a_task_that_is_cancelled_alone", a_task_that_is_cancelled_alone}, {"leaving_takes_a_turn", leaving_takes_a_turn},
    {"in_a_timeout", in_a_timeout}, {"a_timeout_in_a_task", a_timeout_in_a_task},
    {"nested_and_both_fail", nested_and_both_fail},
    {"a_failure_while_the_parent_is_cancelled", a_failure_while_the_parent_is_cancelled},
});

}  // namespace
}  // namespace knit::pairs
