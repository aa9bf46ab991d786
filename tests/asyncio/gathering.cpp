// gather(): results, errors, cancellation of children, of the gather and of who awaits it.

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

Coro<> results_in_the_order_of_the_arguments() {  // GATHER-01
    const auto values = co_await gather(value_after(3ms, 1), value_after(1ms, 2), value_after(2ms, 3));
    log(values, now());
}

Coro<> first_error_is_raised_and_the_others_go_on() {  // GATHER-02
    const std::string text = co_await got_message(gather(value_after(10ms, 1), fail_after(1ms, "x")));
    log(text);
    log("awaiter goes on", now());
    co_await sleep(30ms);
}

Coro<> later_errors_are_dropped() {  // GATHER-11
    on_error();
    const std::string text =
        co_await got_message(gather(fail_after(1ms, "a"), fail_after(2ms, "b"), fail_after(1ms, "c")));
    log(text);
    co_await sleep(5ms);
    log("end");
}

Coro<> errors_as_results() {  // GATHER-03
    const auto results =
        co_await gather(return_exceptions, value_after(2ms, 3), fail_after(1ms, "x"), value_after(0ms, 1));
    log(results, now());
}

Coro<> of_nothing() {  // GATHER-05
    auto g = gather();
    log(g.done(), g.result());
    loop().call_soon([] { log("loop ran"); });
    const auto values = co_await g;
    log(values);
    const auto more = co_await gather();
    log(more);
    co_await sleep(0s);
}

Coro<> the_same_task_at_each_place() {  // GATHER-06
    Task<int> t = create_task(value_after(1ms, 5));
    const auto values = co_await gather(t, t, t);
    log(values);
}

Coro<> a_child_that_is_cancelled_alone() {  // GATHER-07
    Future<int> a = fut();
    Future<int> b = fut();
    Future<int> c = fut();
    auto g = gather(a, b, c).future();
    a.set_result(1);
    b.cancel();
    log(g.done());
    co_await tick();
    log(g.done());
    co_await tick();
    log(g.done(), g.cancelled(), g.exception(), c.done());
}

Coro<> a_cancelled_child_as_a_result() {  // GATHER-08
    Task<int> t = create_task(leaf("t"));
    loop().call_soon([t]() mutable { t.cancel(); });
    const auto first = co_await gather(return_exceptions, t, value_after(0ms, 1));
    log(first);
    Task<int> u = create_task(leaf("u"));
    loop().call_later(1ms, [u]() mutable { u.cancel(); });
    const auto second = co_await gather(return_exceptions, u, value_after(2ms, 1));
    log(second, now());
}

Coro<> cancel_is_refused_when_all_are_done() {  // GATHER-10
    Future<int> f = fut();
    const auto child = [&]() -> Coro<int> { co_return co_await f; };
    auto g = gather(child()).future();
    co_await tick();
    f.add_done_callback([&] { loop().call_soon([&] { log(g.cancel()); }); });
    f.set_result(42);
    const auto values = co_await g;
    log(values);
}

const Family family("gathering", {
    {"results_in_the_order_of_the_arguments", results_in_the_order_of_the_arguments},
    {"first_error_is_raised_and_the_others_go_on", first_error_is_raised_and_the_others_go_on},
    {"later_errors_are_dropped", later_errors_are_dropped}, {"errors_as_results", errors_as_results},
    {"of_nothing", of_nothing}, {"the_same_task_at_each_place", the_same_task_at_each_place},
    {"a_child_that_is_cancelled_alone", a_child_that_is_cancelled_alone},
    {"a_cancelled_child_as_a_result", a_cancelled_child_as_a_result},
    {"cancel_is_refused_when_all_are_done", cancel_is_refused_when_all_are_done},
});

}  // namespace
}  // namespace knit::pairs
