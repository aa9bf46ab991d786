// gather(): cancelled children, cancelled gathers, cancelled awaiters.

#include "program.hpp"

#include <numeric>

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

template <class T>
Coro<T> value_after(milliseconds delay, T value) {
    co_await sleep(delay);
    log("done", value);
    co_return value;
}
Coro<int> fail_after(milliseconds delay, std::string what) {
    co_await sleep(delay);
    log("fails", what);
    throw Err(what);
}
Coro<int> leaf(std::string name) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(name, "cancelled");
        throw;
    }
    co_return 0;
}
Coro<int> swallow(milliseconds pause, int value, std::string text) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(text);
    }
    co_await sleep(pause);
    co_return value;
}

Coro<> cancelling_the_awaiter_cancels_the_children() {  // GATHER-12
    const auto outer = []() -> Coro<> {
        co_await gather(leaf("a"), leaf("b"), value_after(2ms, std::string("c")));
    };
    Task<> t = create_task(outer());
    co_await sleep(1ms);
    t.cancel();
    log("requested");
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> a_child_that_swallows_the_cancellation() {  // GATHER-13
    const auto stubborn = []() -> Coro<int> {
        co_await swallow(5ms, 1, "swallowed");
        log("stubborn returns");
        co_return 1;
    };
    const auto outer = [&]() -> Coro<> { co_await gather(stubborn(), leaf("other")); };
    Task<> t = create_task(outer());
    co_await tick(3);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> all_children_swallow_the_cancellation() {
    const auto outer = []() -> Coro<> {
        co_await gather(swallow(2ms, 2, "swallowed 2"), swallow(1ms, 1, "swallowed 1"));
    };
    Task<> t = create_task(outer());
    co_await tick(3);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> a_child_answers_the_cancellation_with_an_error() {
    const auto broken = []() -> Coro<int> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("broken");
            throw Err("cleanup");
        }
        co_return 0;
    };
    const auto outer = [&]() -> Coro<> { co_await gather(broken(), leaf("other")); };
    Task<> t = create_task(outer());
    co_await tick(3);
    t.cancel();
    const std::string text = co_await got_message(t);
    log(text, t.cancelled());
    co_await tick(2);
}

Coro<> errors_as_results_and_the_awaiter_is_cancelled() {
    const auto outer = []() -> Coro<> { co_await gather(return_exceptions, leaf("a"), swallow(0ms, 1, "swallowed")); };
    Task<> t = create_task(outer());
    co_await tick(3);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, t.cancelled());
}

Coro<> cancellation_goes_through_nested_gathers() {  // GATHER-15
    Task<std::string> t = create_task(got(gather(gather(leaf("a"), leaf("b")), leaf("c"))));
    co_await tick(2);
    t.cancel();
    const std::string text = co_await t;
    log(text);
}

Coro<> children_that_never_started() {  // GATHER-16
    const auto f = [](int n) -> Coro<> {
        log(n);
        co_return;
    };
    const auto outer = [&]() -> Coro<> { co_await gather(f(1), f(2)); };
    Task<> t = create_task(outer());
    co_await sleep(0s);
    t.cancel();
    const std::string text = co_await got(t);
    log(text);
}

Coro<> cancel_after_the_error_was_told() {  // GATHER-18
    auto g = gather(value_after(2ms, std::string("slow")), fail_after(0ms, "x")).future();
    const std::string text = co_await got(g);
    log(text);
    log(g.cancel(), g.done());
    co_await sleep(5ms);
}

Coro<> cancel_of_the_handle() {  // GATHER-09
    auto g = gather(leaf("a"), leaf("b")).future();
    co_await tick();
    log(g.cancel(), g.done(), g.cancelled());
    const std::string text = co_await got(g);
    log(text);
    log(g.done(), g.cancelled(), g.cancel());
}

Coro<> two_tasks_await_one_gather() {
    auto g = gather(value_after(1ms, 1), value_after(2ms, 2)).future();
    const auto waits = [&](std::string name) -> Coro<> {
        const std::string text = co_await got(g);
        log(name, text);
    };
    Task<> a = create_task(waits("a"));
    Task<> b = create_task(waits("b"));
    co_await tick(2);
    co_await gather(a, b);
}

Coro<> one_of_two_awaiters_is_cancelled() {
    auto g = gather(leaf("x"), leaf("y")).future();
    const auto waits = [&](std::string name) -> Coro<> {
        try {
            co_await g;
        } catch (const CancelledError&) {
            log(name, "cancelled");
            throw;
        }
    };
    Task<> a = create_task(waits("a"));
    Task<> b = create_task(waits("b"));
    co_await tick(2);
    a.cancel();
    const auto results = co_await gather(return_exceptions, a, b);
    log(results);
}

Coro<> done_children_are_counted_at_once() {
    Task<int> t = create_task([]() -> Coro<int> {
        co_await sleep(0s);
        log("done", 1);
        co_return 1;
    });
    Future<int> f = fut();
    f.set_result(2);
    co_await tick(2);
    auto g = gather(t, f).future();
    log(g.done());
    loop().call_soon([] { log("loop ran"); });
    const auto values = co_await g;
    log(values);
    co_await tick();
}

Coro<> a_failed_child_among_pending_ones() {
    Future<int> f = fut();
    f.set_exception(Err("early"));
    const auto child = []() -> Coro<> {
        log("child runs");
        co_return;
    };
    loop().call_soon([] { log("soon"); });
    const std::string text = co_await got_message(gather(child(), f));
    log(text);
    log("after");
    co_await tick(2);
}

Coro<> a_cancelled_child_among_pending_ones_with_results() {
    Future<int> f = fut();
    f.cancel();
    const auto results = co_await gather(return_exceptions, f, value_after(1ms, 1));
    log(results);
}

Coro<> children_end_in_the_same_turn() {
    Future<> f;
    const auto child = [&](int n) -> Coro<int> {
        co_await f;
        if (n % 2 != 0) {
            throw Err("child " + std::to_string(n));
        }
        co_return n;
    };
    auto g = gather(child(0), child(1), child(2), child(3)).future();
    auto h = gather(return_exceptions, child(2), child(3), child(1)).future();
    co_await tick();
    f.set_result();
    const std::string text = co_await got_message(g);
    log(text);
    const auto [two, three, one] = co_await h;
    const auto kind = [](const Result<int>& result) { return std::string(result ? "value" : "Err"); };
    log(list_of<std::string>(kind(two), kind(three), kind(one)));
}

Coro<> cancel_and_failure_meet() {
    Future<int> f = fut();
    const auto outer = [&]() -> Coro<> { co_await gather(leaf("a"), f); };
    Task<> t = create_task(outer());
    co_await tick(2);
    f.set_exception(Err("f"));
    t.cancel();
    const std::string text = co_await got_message(t);
    log(text);
    co_await tick(2);
}

Coro<> failure_then_cancel_of_the_awaiter() {
    Future<int> f = fut();
    const auto outer = [&]() -> Coro<> {
        try {
            co_await gather(leaf("a"), f);
        } catch (const Err&) {
            log("error first");
        }
        co_await sleep(kForever);
    };
    Task<> t = create_task(outer());
    co_await tick(2);
    f.set_exception(Err("f"));
    co_await tick(3);
    t.cancel();
    const std::string text = co_await got(t);
    log(text);
}

Coro<> slow(int n) {
    const auto body = []() -> Coro<> { co_await sleep(kForever); };
    const auto cleanup = [n]() -> Coro<> {
        log(n, "cleans");
        co_await sleep(3ms);
        log(n, "cleaned");
    };
    co_await finally(body(), cleanup);
}
Coro<> cancelled_twice_while_children_clean_up() {
    const auto outer = []() -> Coro<> { co_await gather(slow(1), slow(2)); };
    Task<> t = create_task(outer());
    co_await tick(3);
    t.cancel();
    co_await sleep(1ms);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> cancelled_again_before_the_outcome_shows() {
    const auto broken = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err("broken");
        }
    };
    Task<> child = create_task(broken());
    const auto g = gather(child).future();
    const auto waits = [&]() -> Coro<> {
        const std::string text = co_await got(g);
        log(text, me().cancelling());
    };
    Task<> t = create_task(waits());
    co_await tick(3);
    t.cancel();
    co_await tick();
    log(child.done(), g.done(), t.cancel());
    co_await t;
    log(g.exception());
}

Coro<> many_children() {
    const auto child = [](int n) -> Coro<int> {
        co_await sleep(milliseconds(n % 3));
        co_return n * n;
    };
    std::vector<Coro<int>> children;
    for (int n = 0; n < 50; ++n) {
        children.push_back(child(n));
    }
    const std::vector<int> values = co_await gather(std::move(children));
    log(std::accumulate(values.begin(), values.end(), 0), now());
}

const Family family("gather_cancel", {
    {"cancelling_the_awaiter_cancels_the_children", cancelling_the_awaiter_cancels_the_children},
    {"a_child_that_swallows_the_cancellation", a_child_that_swallows_the_cancellation},
    {"all_children_swallow_the_cancellation", all_children_swallow_the_cancellation},
    {"a_child_answers_the_cancellation_with_an_error", a_child_answers_the_cancellation_with_an_error},
    {"errors_as_results_and_the_awaiter_is_cancelled", errors_as_results_and_the_awaiter_is_cancelled},
    {"cancellation_goes_through_nested_gathers", cancellation_goes_through_nested_gathers},
    {"children_that_never_started", children_that_never_started},
    {"cancel_after_the_error_was_told", cancel_after_the_error_was_told},
    {"cancel_of_the_handle", cancel_of_the_handle}, {"two_tasks_await_one_gather", two_tasks_await_one_gather},
    {"one_of_two_awaiters_is_cancelled", one_of_two_awaiters_is_cancelled},
    {"done_children_are_counted_at_once", done_children_are_counted_at_once},
    {"a_failed_child_among_pending_ones", a_failed_child_among_pending_ones},
    {"a_cancelled_child_among_pending_ones_with_results", a_cancelled_child_among_pending_ones_with_results},
    {"children_end_in_the_same_turn", children_end_in_the_same_turn},
    {"cancel_and_failure_meet", cancel_and_failure_meet},
    {"failure_then_cancel_of_the_awaiter", failure_then_cancel_of_the_awaiter},
    {"cancelled_twice_while_children_clean_up", cancelled_twice_while_children_clean_up},
    {"cancelled_again_before_the_outcome_shows", cancelled_again_before_the_outcome_shows},
    {"many_children", many_children},
});

}  // namespace
}  // namespace knit::pairs
