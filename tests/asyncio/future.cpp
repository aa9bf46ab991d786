// Future: states, errors, callbacks and who waits for it.

#include "program.hpp"

namespace knit::pairs {
namespace {

Coro<int> value_of(Future<int> future) { co_return co_await future; }
Coro<> says(Future<int> future, std::string name) {
    co_await future;
    log(name);
}

Coro<> a_new_one_is_pending() {  // FUTURE-01
    Future<int> f = fut();
    log(f.done(), f.cancelled(), &f.get_loop() == &loop());
    log(call_message([&] { return f.result(); }), call_message([&] { return f.exception(); }));  // FUTURE-04
    co_return;
}

Coro<> with_a_result() {  // FUTURE-02
    Future<int> f = fut();
    f.set_result(5);
    log(f.done(), f.cancelled(), f.result(), f.exception());
    log(call([&] { f.set_result(6); }), call([&] { f.set_exception(Err()); }), f.cancel(), f.result());
    const int value = co_await f;
    log(value);
}

Coro<> with_an_error() {  // FUTURE-03
    Future<int> f = fut();
    f.set_exception(Err("x"));
    log(f.done(), f.cancelled(), call_message([&] { return f.result(); }), f.exception());
    log(call([&] { f.set_result(1); }), call([&] { f.set_exception(Err()); }), f.cancel());
    const std::string first = co_await got_message(f);
    const std::string second = co_await got_message(f);
    log(first, second);
}

Coro<> cancelled() {  // FUTURE-05
    Future<int> f = fut();
    const bool asked = f.cancel();
    log(asked, f.cancelled(), f.done());
    log(call([&] { return f.result(); }), call([&] { return f.exception(); }), call([&] { f.set_result(1); }),
        call([&] { f.set_exception(Err()); }), f.cancel());
    const std::string text = co_await got(f);
    log(text);
}

Coro<> cancelled_with_a_message() {
    Future<int> f = fut();
    f.cancel("why");
    const std::string text = co_await got_message(f);
    log(text);
}

Coro<> callbacks_in_order_through_the_loop() {  // FUTURE-06
    Future<int> f = fut();
    f.add_done_callback([](const Future<int>& x) { log("first", x.result()); });
    f.add_done_callback([f](const Future<int>& x) { log("second", x == f); });
    loop().call_soon([] { log("before"); });
    f.set_result(7);
    loop().call_soon([] { log("behind"); });
    f.add_done_callback([] { log("late"); });
    log("nothing yet");
    co_await tick();
    log("turn");
}

Coro<> callbacks_of_failed_and_cancelled_ones() {  // FUTURE-07
    Future<int> f = fut();
    Future<int> g = fut();
    f.add_done_callback([](const Future<int>& x) { log("error", x.exception()); });
    g.add_done_callback([](const Future<int>& x) { log("cancelled", x.cancelled()); });
    f.set_exception(Err());
    g.cancel();
    log("nothing yet");
    co_await tick();
}

Coro<> a_callback_added_to_a_done_one() {  // FUTURE-08
    Future<int> f = fut();
    f.set_result(1);
    f.add_done_callback([] { log("callback"); });
    log("added");
    co_await tick();
    log("turn");
}

Coro<> a_callback_that_adds_a_callback() {
    Future<int> f = fut();
    f.add_done_callback([](Future<int> x) {
        log("first");
        x.add_done_callback([] { log("added by the first"); });
    });
    f.add_done_callback([] { log("second"); });
    f.set_result(1);
    co_await tick();
    log("turn");
    co_await tick();
}

Coro<> a_callback_that_throws() {
    Future<int> f = fut();
    on_error();
    f.add_done_callback([] { throw Err("bad"); });
    f.add_done_callback([] { log("good"); });
    f.set_result(3);
    const int value = co_await f;
    log(value);
    co_await tick();
}

Coro<> removed_callbacks() {  // FUTURE-09
    Future<int> f = fut();
    const std::uint64_t a = f.add_done_callback([] { log("a"); });
    const std::uint64_t b = f.add_done_callback([] { log("b"); });
    const std::size_t once = f.remove_done_callback(a);
    log(once, f.remove_done_callback(a));
    f.set_result(1);
    log(f.remove_done_callback(b));
    co_await tick();
}

Coro<> waiters_in_order() {  // AWAIT-07
    Future<std::string> f = fut<std::string>();
    const auto waits = [&](std::string n) -> Coro<> {
        const std::string value = co_await f;
        log(n, value);
    };
    std::vector<Task<>> tasks;
    for (const char* n : {"a", "b", "c"}) {
        tasks.push_back(create_task(waits(n)));
    }
    co_await tick();
    f.set_result("value");
    co_await gather(tasks);
}

Coro<> waiters_and_callbacks_share_a_list() {  // FUTURE-20
    Future<int> f = fut();
    f.add_done_callback([] { log("callback 1"); });
    Task<> a = create_task(says(f, "waiter 1"));
    co_await tick();
    f.add_done_callback([] { log("callback 2"); });
    Task<> b = create_task(says(f, "waiter 2"));
    co_await tick();
    f.set_result(1);
    co_await gather(a, b);
}

Coro<> a_waiter_that_left_the_list() {
    Future<int> f = fut();
    std::vector<Task<>> tasks;
    for (int n = 0; n < 4; ++n) {
        tasks.push_back(create_task(says(f, std::to_string(n))));
    }
    co_await tick();
    auto g = gather(return_exceptions, tasks).future();
    f.add_done_callback([](const Future<int>& x) { log("callback", x.cancelled()); });
    tasks[1].cancel();
    log(f.cancelled());
    const auto results = co_await g;
    log(results);
}

Coro<> cancelling_a_waiter_cancels_the_future() {  // FUTURE-15
    Future<int> f = fut();
    const auto waits = [&](std::string n) -> Coro<> {
        try {
            co_await f;
        } catch (const CancelledError&) {
            log(n, "cancelled");
            throw;
        }
    };
    Task<> a = create_task(waits("a"));
    Task<> b = create_task(waits("b"));
    co_await tick();
    a.cancel();
    log(f.cancelled());
    const std::string first = co_await got(a);
    const std::string second = co_await got(b);
    log(first, second);
    log(b.cancelled(), b.cancelling());
}

Coro<> cancelling_the_future_cancels_the_waiters() {  // FUTURE-16
    Future<int> f = fut();
    Task<int> t = create_task(value_of(f));
    co_await tick();
    f.cancel();
    const std::string text = co_await got(t);
    log(text);
    log(t.cancelled(), t.cancelling());
}

Coro<> a_producer_that_comes_too_late() {  // FUTURE-17
    Future<int> f = fut();
    Task<int> t = create_task(value_of(f));
    co_await tick();
    t.cancel();
    log(call([&] { f.set_result(1); }));
    const std::string text = co_await got(t);
    log(text);
}

Coro<> never_retrieved() {  // FUTURE-12
    on_error();
    {
        Future<int> f = fut();
        f.set_exception(Err("lost"));
        co_await tick(2);
        log("before");
    }
    log("after");
}

Coro<> retrieved_by_a_look() {  // FUTURE-13
    on_error();
    for (const int look : {0, 1, 2}) {
        Future<int> f = fut();
        f.set_exception(Err("seen"));
        if (look == 0) {
            static_cast<void>(f.exception());
        } else if (look == 1) {
            call([&] { return f.result(); });
        } else {
            f.cancel();
        }
    }
    log("silent");
    co_return;
}

Coro<> a_cancellation_as_an_error() {
    Future<int> f = fut();
    f.set_exception(CancelledError("x"));
    log(f.cancelled(), f.exception());
    Task<int> t = create_task(value_of(f));
    const std::string text = co_await got_message(t);
    log(text, t.cancelled());
}

Coro<> does_not_suspend_when_done() {  // AWAIT-03
    Future<int> f = fut();
    f.set_result(7);
    loop().call_soon([] { log("loop ran"); });
    const int first = co_await f;
    const int second = co_await f;
    log(first, second);
    co_await tick();
}

Coro<> settled_between_turns() {
    Future<int> f = fut();
    const auto waits = [&]() -> Coro<> {
        log("before");
        const int value = co_await f;
        log("got", value);
        loop().call_soon([] { log("scheduled by the waiter"); });
    };
    Task<> t = create_task(waits());
    loop().call_soon([&] { f.set_result(1); });
    loop().call_soon([] { log("behind the setter"); });
    co_await t;
    log("end");
    co_await tick();
}

Coro<> a_result_that_is_an_error_object() {  // TASK-22
    Future<std::exception_ptr> f = fut<std::exception_ptr>();
    f.set_result(std::make_exception_ptr(Err("value")));
    const std::exception_ptr value = co_await f;
    log(value, f.exception());
}

const Family family("future", {
    {"a_new_one_is_pending", a_new_one_is_pending}, {"with_a_result", with_a_result}, {"with_an_error", with_an_error},
    {"cancelled", cancelled}, {"cancelled_with_a_message", cancelled_with_a_message},
    {"callbacks_in_order_through_the_loop", callbacks_in_order_through_the_loop},
    {"callbacks_of_failed_and_cancelled_ones", callbacks_of_failed_and_cancelled_ones},
    {"a_callback_added_to_a_done_one", a_callback_added_to_a_done_one},
    {"a_callback_that_adds_a_callback", a_callback_that_adds_a_callback},
    {"a_callback_that_throws", a_callback_that_throws}, {"removed_callbacks", removed_callbacks},
    {"waiters_in_order", waiters_in_order}, {"waiters_and_callbacks_share_a_list", waiters_and_callbacks_share_a_list},
    {"a_waiter_that_left_the_list", a_waiter_that_left_the_list},
    {"cancelling_a_waiter_cancels_the_future", cancelling_a_waiter_cancels_the_future},
    {"cancelling_the_future_cancels_the_waiters", cancelling_the_future_cancels_the_waiters},
    {"a_producer_that_comes_too_late", a_producer_that_comes_too_late}, {"never_retrieved", never_retrieved},
    {"retrieved_by_a_look", retrieved_by_a_look}, {"a_cancellation_as_an_error", a_cancellation_as_an_error},
    {"does_not_suspend_when_done", does_not_suspend_when_done}, {"settled_between_turns", settled_between_turns},
    {"a_result_that_is_an_error_object", a_result_that_is_an_error_object},
});

}  // namespace
}  // namespace knit::pairs
