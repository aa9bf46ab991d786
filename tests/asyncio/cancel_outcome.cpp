// Cancellation: what the task makes of it.

#include "program.hpp"

namespace knit::pairs {
namespace {

Coro<int> value_of(Future<int> future) { co_return co_await future; }

Coro<> of_the_current_task() {  // CANCEL-11
    const auto f = []() -> Coro<> {
        me().cancel();
        log("still running");
        co_await sleep(kForever);
        log("never");
    };
    Task<> t = create_task(f());
    const std::string text = co_await got(t);
    log(text, t.cancelled());
}

Coro<> of_the_current_task_before_a_turn() {
    const auto f = []() -> Coro<> {
        me().cancel("now");
        loop().call_soon([] { log("turn"); });
        co_await sleep(0s);
    };
    const std::string text = co_await got_message(create_task(f()));
    log(text);
}

Coro<> of_the_current_task_before_a_done_future() {
    Future<int> f = fut();
    f.set_result(5);
    const auto g = [&]() -> Coro<std::string> {
        me().cancel();
        const int value = co_await f;
        log(value);
        const std::string text = co_await got(sleep(0s));
        log(text);
        co_return "end";
    };
    const std::string text = co_await got(create_task(g()));
    log(text);
}

Coro<> of_the_current_task_at_its_end() {  // CANCEL-12
    const auto f = []() -> Coro<int> {
        me().cancel("late");
        co_return 12;
    };
    Task<int> t = create_task(f());
    const std::string text = co_await got_message(t);
    log(text, t.cancelled());
}

Coro<> an_error_wins_over_a_pending_request() {  // CANCEL-13
    const auto f = []() -> Coro<> {
        me().cancel();
        throw Err("wins");
        co_return;
    };
    Task<> t = create_task(f());
    const std::string text = co_await got_message(t);
    log(text, t.cancelled());
}

Coro<> an_error_instead_of_the_cancellation() {  // CANCEL-14
    const auto f = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err("instead");
        }
    };
    Task<> t = create_task(f());
    co_await tick();
    t.cancel();
    const std::string text = co_await got_message(t);
    log(text, t.cancelled(), t.cancelling());
}

Coro<> a_value_instead_of_the_cancellation() {  // CANCEL-15
    const auto f = []() -> Coro<std::string> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
        }
        co_return "value";
    };
    Task<std::string> t = create_task(f());
    co_await tick();
    log(t.cancel());
    const std::string text = co_await t;
    log(text, t.cancelled(), t.cancelling());
}

Coro<> is_no_ordinary_error() {  // CANCEL-16
    const auto f = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const std::exception&) {
            log("swallowed");
        }
    };
    Task<> t = create_task(f());
    co_await tick();
    t.cancel();
    const std::string text = co_await got(t);
    log(text);
}

Coro<> raised_by_the_coroutine_itself() {  // CANCEL-17
    const auto f = []() -> Coro<> {
        throw CancelledError("own");
        co_return;
    };
    Task<> t = create_task(f());
    const std::string text = co_await got_message(t);
    log(text, t.cancelled(), t.cancelling());
}

Coro<> the_value_of_a_settled_future_is_lost() {  // CANCEL-19
    Future<int> f = fut();
    Task<int> t = create_task(value_of(f));
    co_await tick();
    f.set_result(1);
    log(t.cancel());
    const std::string text = co_await got(t);
    log(text, f.result());
}

Coro<> the_error_of_a_settled_future_is_replaced() {  // CANCEL-20
    Future<int> f = fut();
    Task<int> t = create_task(value_of(f));
    co_await tick();
    f.set_exception(Err("f"));
    t.cancel();
    const std::string text = co_await got(t);
    log(text, f.exception());
}

Coro<> frame_by_frame() {  // CANCEL-21
    const auto inner = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("inner");
            throw;
        }
    };
    const auto outer = [&]() -> Coro<int> {
        try {
            co_await inner();
        } catch (const CancelledError&) {
            log("outer absorbs");
        }
        co_return 1;
    };
    Task<int> t = create_task(outer());
    co_await tick();
    t.cancel();
    const int value = co_await t;
    log(value);
}

Coro<> a_child_task_that_absorbs_it() {  // CANCEL-22
    const auto child = []() -> Coro<std::string> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("absorbed");
        }
        co_return "child's value";
    };
    const auto parent = [&]() -> Coro<std::string> {
        const std::string value = co_await create_task(child());
        log("parent gets", value, me().cancelling());
        co_await sleep(1ms);
        co_return "parent's end";
    };
    Task<std::string> t = create_task(parent());
    co_await tick(2);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, t.cancelled());
}

Coro<> task_and_future_both() {  // CANCEL-23
    Future<int> f = fut();
    const auto waits = [&]() -> Coro<> {
        try {
            co_await f;
        } catch (const CancelledError&) {
            log("hit");
            throw;
        }
    };
    for (const int order : {0, 1}) {
        f = fut();
        Task<> t = create_task(waits());
        co_await tick();
        const bool first = order != 0 ? f.cancel() : t.cancel();
        const bool second = order != 0 ? t.cancel() : f.cancel();
        log(first, second);
        const std::string text = co_await got(t);
        log(text, t.cancelled(), f.cancelled());
    }
}

const Family family("cancel_outcome", {
    {"of_the_current_task", of_the_current_task},
    {"of_the_current_task_before_a_turn", of_the_current_task_before_a_turn},
    {"of_the_current_task_before_a_done_future", of_the_current_task_before_a_done_future},
    {"of_the_current_task_at_its_end", of_the_current_task_at_its_end},
    {"an_error_wins_over_a_pending_request", an_error_wins_over_a_pending_request},
    {"an_error_instead_of_the_cancellation", an_error_instead_of_the_cancellation},
    {"a_value_instead_of_the_cancellation", a_value_instead_of_the_cancellation},
    {"is_no_ordinary_error", is_no_ordinary_error}, {"raised_by_the_coroutine_itself", raised_by_the_coroutine_itself},
    {"the_value_of_a_settled_future_is_lost", the_value_of_a_settled_future_is_lost},
    {"the_error_of_a_settled_future_is_replaced", the_error_of_a_settled_future_is_replaced},
    {"frame_by_frame", frame_by_frame}, {"a_child_task_that_absorbs_it", a_child_task_that_absorbs_it},
    {"task_and_future_both", task_and_future_both},
});

}  // namespace
}  // namespace knit::pairs
