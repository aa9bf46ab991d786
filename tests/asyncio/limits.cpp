// timeout(), timeout_at(), wait_for(): deadlines, what they cancel and what comes out.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

Coro<> forever(std::string name) {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log(name, "cancelled");
        throw;
    }
}
Coro<> sleep_on() { co_await sleep(kForever); }
/// The deadline as now() counts.
std::optional<std::int64_t> when(const Timeout& cm) {
    if (!cm.when()) {
        return std::nullopt;
    }
    return now() + (*cm.when() - loop().time()) / 1ms;
}
TimePoint at(milliseconds time) { return loop().time() + time - milliseconds(now()); }

Coro<> a_deadline_that_passes() {  // TIMEOUT-01
    Timeout cm = timeout(5ms);
    const auto body = [](Timeout&) { return forever("body"); };
    try {
        co_await timeout_scope(cm, body);
    } catch (const TimeoutError&) {
        log("TimeoutError", cm.expired(), now(), me().cancelling());
    }
}

Coro<> a_body_in_time() {  // TIMEOUT-02
    const auto body = [](Timeout&) { return as_coro(sleep(1ms)); };
    Timeout cm = timeout(10ms);
    co_await timeout_scope(cm, body);
    log(cm.expired(), when(cm));
    Timeout none = timeout(std::nullopt);  // TIMEOUT-03
    co_await timeout_scope(none, body);
    log(none.expired(), when(none));
    Timeout absolute = timeout_at(loop().time() + 3ms);  // TIMEOUT-04
    const auto looks = [](Timeout& scope) -> Coro<> {
        log(when(scope));
        co_return;
    };
    co_await timeout_scope(absolute, looks);
}

Coro<> a_deadline_in_the_past() {  // TIMEOUT-05
    loop().call_soon([] { log("loop ran"); });
    Timeout cm = timeout(-1ms);
    const auto body = [](Timeout&) -> Coro<> {
        log("body starts");
        co_await tick();
        log("after one turn");
        co_await sleep(1ms);
        log("never");
    };
    try {
        co_await timeout_scope(cm, body);
    } catch (const TimeoutError&) {
        log("TimeoutError", cm.expired());
    }
    Timeout zero = timeout(0ms);
    const auto says = [](Timeout&) -> Coro<> {
        log("no await");
        co_return;
    };
    co_await timeout_scope(zero, says);
    log(zero.expired());
}

Coro<> nested_the_inner_one_first() {  // TIMEOUT-08
    Timeout a = timeout(10ms);
    const auto inner = [](Timeout&) { return forever("body"); };
    const auto outer = [&](Timeout&) -> Coro<> {
        Timeout b = timeout(2ms);
        try {
            co_await timeout_scope(b, inner);
        } catch (const TimeoutError&) {
            log("inner", a.expired(), b.expired(), now());
        }
        co_await sleep(20ms);
    };
    try {
        co_await timeout_scope(a, outer);
    } catch (const TimeoutError&) {
        log("outer", a.expired(), now());
    }
}

Coro<> nested_the_outer_one_first() {  // TIMEOUT-09
    Timeout a = timeout(2ms);
    Timeout b = timeout(10ms);
    const auto inner = [](Timeout&) { return forever("body"); };
    const auto outer = [&](Timeout&) -> Coro<> {
        try {
            co_await timeout_scope(b, inner);
        } catch (const TimeoutError&) {
            log("never");
        }
    };
    try {
        co_await timeout_scope(a, outer);
    } catch (const TimeoutError&) {
        log("outer", a.expired(), b.expired(), now());
    }
}

Coro<> nested_with_equal_deadlines() {  // TIMEOUT-10
    Timeout a = timeout_at(at(3ms));
    Timeout b = timeout_at(at(3ms));
    const auto inner = [](Timeout&) { return forever("body"); };
    const auto outer = [&](Timeout&) -> Coro<> {
        try {
            co_await timeout_scope(b, inner);
        } catch (...) {
            log(error_text(std::current_exception()), me().cancelling());
            throw;
        }
    };
    try {
        co_await timeout_scope(a, outer);
    } catch (const TimeoutError&) {
        log("outer", a.expired(), b.expired(), me().cancelling());
    }
}

Coro<> rescheduled() {  // TIMEOUT-11
    const auto moves = [](Timeout& a) -> Coro<> {
        a.reschedule(loop().time() + 100ms);
        co_await sleep(10ms);
        a.reschedule(std::nullopt);
        log(when(a), a.expired());
    };
    co_await timeout_scope(2ms, moves);
    const auto hurries = [](Timeout& b) -> Coro<> {
        b.reschedule(loop().time() - 1ms);
        log("moved");
        co_await forever("body");
    };
    try {
        co_await timeout_scope(std::nullopt, hurries);
    } catch (const TimeoutError&) {
        log("fired", now());
    }
}

Coro<> errors_pass() {  // TIMEOUT-15
    Timeout a = timeout(10ms);
    const auto fails = [](Timeout&) -> Coro<> {
        throw Err("body");
        co_return;
    };
    try {
        co_await timeout_scope(a, fails);
    } catch (const Err&) {
        log("Err", a.expired());
    }
    Timeout b = timeout(2ms);
    const auto fails_late = [](Timeout&) -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            throw Err2("cleanup");
        }
    };
    try {
        co_await timeout_scope(b, fails_late);
    } catch (const Err2&) {
        log("Err2", b.expired(), me().cancelling());
    }
}

Coro<> cancelled_from_outside() {  // TIMEOUT-16
    Timeout cm = timeout(10ms);
    const auto body = [](Timeout&) { return forever("body"); };
    Task<> t = create_task(timeout_scope(cm, body));
    co_await tick();
    t.cancel();
    const std::string text = co_await got(t);
    log(text, cm.expired());
}

Coro<> cancelled_from_outside_in_the_turn_of_the_deadline() {  // TIMEOUT-18
    const auto body = [](Timeout&) { return forever("body"); };
    Task<> t = create_task(timeout_scope(2ms, body));
    co_await tick();
    loop().call_later(2ms, [&] { t.cancel(); });
    const std::string first = co_await got(t);
    log(first, t.cancelling(), t.cancelled());
    Task<> u;
    loop().call_later(2ms, [&] { u.cancel(); });
    u = create_task(timeout_scope(2ms, body));
    const std::string second = co_await got(u);
    log(second, u.cancelling(), u.cancelled());
}

Coro<> entered_by_a_task_that_was_cancelled_before() {
    const auto f = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
        }
        const auto body = [](Timeout&) { return sleep_on(); };
        try {
            co_await timeout_scope(2ms, body);
        } catch (const TimeoutError&) {
            log("!TimeoutError", me().cancelling());
        }
    };
    Task<> t = create_task(f());
    co_await tick();
    t.cancel();
    co_await t;
}

Coro<> a_body_that_swallows() {  // TIMEOUT-17
    Timeout cm = timeout(2ms);
    const auto body = [](Timeout&) -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("swallowed", me().cancelling());
        }
        co_await sleep(1ms);
    };
    co_await timeout_scope(cm, body);
    log(cm.expired(), me().cancelling(), now());
}

const Family family("limits", {
    {"a_deadline_that_passes", a_deadline_that_passes}, {"a_body_in_time", a_body_in_time},
    {"a_deadline_in_the_past", a_deadline_in_the_past}, {"nested_the_inner_one_first", nested_the_inner_one_first},
    {"nested_the_outer_one_first", nested_the_outer_one_first},
    {"nested_with_equal_deadlines", nested_with_equal_deadlines}, {"rescheduled", rescheduled},
    {"errors_pass", errors_pass}, {"cancelled_from_outside", cancelled_from_outside},
    {"cancelled_from_outside_in_the_turn_of_the_deadline", cancelled_from_outside_in_the_turn_of_the_deadline},
    {"entered_by_a_task_that_was_cancelled_before", entered_by_a_task_that_was_cancelled_before},
    {"a_body_that_swallows", a_body_that_swallows},
});

}  // namespace
}  // namespace knit::pairs
