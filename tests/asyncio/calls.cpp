// call_soon, call_later, call_at, call_soon_threadsafe, and sleep.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

/// Something to be called that logs.
template <class... A>
auto say(A... values) {
    return [=] { log(values...); };
}

Coro<> soon_in_order_never_inline() {  // CALL-01
    loop().call_soon(say(1));
    loop().call_soon([](int n, const std::string& argument) { log(n, argument); }, 2, std::string("argument"));
    log("now");
    co_await tick();
}

Coro<> scheduled_by_a_callback() {  // CALL-02
    loop().call_soon([] {
        log("a");
        loop().call_soon(say("a2"));
    });
    loop().call_soon(say("b"));
    co_await tick();
    log("--");
    co_await tick();
}

Coro<> a_cancelled_handle() {  // CALL-03
    Handle h = loop().call_soon(say("never"));
    log(h.cancelled());
    h.cancel();
    h.cancel();
    log(h.cancelled());
    co_await tick();
    Handle g = loop().call_soon(say("ran"));
    co_await tick();
    g.cancel();
    log(g.cancelled());
}

Coro<> cancelled_by_an_earlier_callback() {  // CALL-04
    Handle h;
    loop().call_soon([&] { h.cancel(); });
    h = loop().call_soon(say("never"));
    loop().call_soon(say("third"));
    co_await tick(2);
}

Coro<> later_in_order_of_deadline() {  // CALL-05
    loop().call_later(15ms, [] { log("b", now()); });
    Handle h = loop().call_later(3ms, [] { log("a", now()); });
    log(h.when() > loop().time());
    co_await sleep(40ms);
}

Coro<> negative_delays() {  // CALL-06
    loop().call_later(-1ms, say("a"));
    loop().call_later(-2ms, say("b"));
    loop().call_later(0ms, say("zero"));
    loop().call_soon(say("soon"));
    co_await tick(2);
    log("end");
}

Coro<> equal_deadlines() {  // CALL-07
    const TimePoint when = loop().time() + 3ms;
    for (int i = 0; i < 6; ++i) {
        loop().call_at(when, say(i));
    }
    co_await sleep(2ms);
    loop().call_later(1ms, say("later"));
    loop().call_at(when, say(6));
    co_await sleep(10ms);
}

Coro<> a_time_in_the_past() {  // CALL-08
    loop().call_at(loop().time() - 5ms, say("past"));
    loop().call_soon(say("soon"));
    co_await tick(2);
    log("end");
}

Coro<> a_cancelled_timer() {  // CALL-09
    Handle h = loop().call_later(2ms, say("never"));
    loop().call_later(1ms, [&] { h.cancel(); });
    loop().call_later(3ms, [&] { log("last", h.cancelled(), now()); });
    co_await sleep(5ms);
}

Coro<> a_timer_cancelled_in_its_own_turn() {
    std::vector<Handle> handles;
    loop().call_later(1ms, [&] { handles[0].cancel(); });
    handles.push_back(loop().call_later(1ms, say("never")));
    loop().call_later(1ms, say("third"));
    co_await sleep(3ms);
}

Coro<> a_timer_cancelled_by_what_is_ready() {
    Handle h = loop().call_later(1ms, say("never"));
    co_await sleep(1ms);
    log("awake");
    Handle g = loop().call_later(0ms, say("never either"));
    loop().call_soon([&] { g.cancel(); });
    co_await tick(3);
    log(h.cancelled(), g.cancelled());
}

void chain(int n) {
    log("timer", n, now());
    if (n != 0) {
        loop().call_later(milliseconds(n), &chain, n - 1);
        loop().call_later(0ms, say("zero of", n));
    }
}
Coro<> timers_that_schedule_timers() {
    loop().call_later(1ms, &chain, 3);
    co_await sleep(20ms);
}

Coro<> an_error_in_a_callback() {  // CALL-12
    on_error();
    const auto bad = [] { throw Err("bad"); };
    loop().call_soon(bad);
    loop().call_soon(say("next"));
    loop().call_later(1ms, bad);
    loop().call_later(1ms, say("next timer"));
    co_await sleep(2ms);
}

Coro<> threadsafe_from_the_loop_itself() {
    loop().call_soon(say(1));
    loop().call_soon_threadsafe(say(2));
    loop().call_soon(say(3));
    Handle h = loop().call_soon_threadsafe(say("never"));
    h.cancel();
    co_await tick(2);
    log("end");
}

Coro<> sleep_of_zero_is_one_turn() {  // SLEEP-01
    loop().call_soon(say("scheduled before"));
    log("a");
    co_await sleep(0s);
    log("b");
}

Coro<> sleep_of_less_than_zero() {  // SLEEP-02
    loop().call_soon(say("soon"));
    loop().call_soon([] { loop().call_soon(say("next turn")); });
    co_await sleep(-1ms);
    log("awake", now());
    co_await tick(2);
}

Coro<> sleep_gives_a_value() {  // SLEEP-05
    const std::string first = co_await sleep(1ms, std::string("value"));
    const int second = co_await sleep(0ms, 2);
    log(first, second);
}

Coro<> sleeps_for(milliseconds delay) {
    co_await sleep(delay);
    log(delay.count(), now());
}
Coro<> sleepers_wake_by_deadline() {  // SLEEP-03
    co_await gather(sleeps_for(30ms), sleeps_for(10ms), sleeps_for(20ms), sleeps_for(10ms));
}

Coro<> equal_sleepers_in_order() {  // SLEEP-04
    const auto f = [](int n) -> Coro<> {
        co_await sleep(5ms);
        log(n);
    };
    std::vector<Coro<>> sleepers;
    for (int n = 0; n < 8; ++n) {
        sleepers.push_back(f(n));
    }
    co_await gather(std::move(sleepers));
}

Coro<> a_cancelled_sleep() {  // SLEEP-07
    const auto f = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("woken", now());
            throw;
        }
    };
    Task<> t = create_task(f());
    co_await sleep(2ms);
    t.cancel();
    log("requested");
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> a_sleep_cancelled_when_it_is_over() {
    const auto f = []() -> Coro<> {
        co_await sleep(1ms);
        log("not reached");
    };
    Task<> t = create_task(f());
    co_await tick();
    loop().call_at(loop().time() + 1ms, [&] { t.cancel(); });
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> a_sleep_cancelled_just_before() {
    const auto f = []() -> Coro<> {
        co_await sleep(1ms);
        log("slept");
    };
    Task<> t;
    loop().call_later(1ms, [&] { log(t.cancel()); });
    t = create_task(f());
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> a_sleep_cancelled_between_its_deadline_and_its_turn() {
    const auto f = [](std::string name) -> Coro<> {
        try {
            co_await sleep(1ms);
            log(name, "slept");
        } catch (const CancelledError&) {
            log(name, "cancelled", me().cancelling());
        }
    };
    std::vector<Task<>> tasks;
    loop().call_later(1ms, [&] {
        const bool second = tasks[1].cancel();
        const bool fourth = tasks[3].cancel();
        log(second, fourth, tasks[3].uncancel());
    });
    for (const char* name : {"a", "b", "c", "d"}) {
        tasks.push_back(create_task(f(name)));
    }
    co_await gather(tasks);
}

Coro<> sleeps_overlap() {  // SLEEP-09
    std::vector<Coro<>> sleepers;
    for (int n = 0; n < 50; ++n) {
        sleepers.push_back(as_coro(sleep(20ms)));
    }
    co_await gather(std::move(sleepers));
    log(now());
}

Coro<> spins() {
    for (int n = 0; n < 4; ++n) {
        log("spin", n);
        co_await sleep(0s);
    }
}
Coro<> zero_sleeps_and_timers() {
    const auto sleeps = []() -> Coro<> {
        for (int n = 0; n < 3; ++n) {
            co_await sleep(1ms);
            log("slept", now());
        }
    };
    loop().call_later(1ms, say("timer 1"));
    loop().call_later(2ms, say("timer 2"));
    co_await gather(spins(), sleeps(), spins());
}

const Family family("calls", {
    {"soon_in_order_never_inline", soon_in_order_never_inline}, {"scheduled_by_a_callback", scheduled_by_a_callback},
    {"a_cancelled_handle", a_cancelled_handle}, {"cancelled_by_an_earlier_callback", cancelled_by_an_earlier_callback},
    {"later_in_order_of_deadline", later_in_order_of_deadline}, {"negative_delays", negative_delays},
    {"equal_deadlines", equal_deadlines}, {"a_time_in_the_past", a_time_in_the_past},
    {"a_cancelled_timer", a_cancelled_timer}, {"a_timer_cancelled_in_its_own_turn", a_timer_cancelled_in_its_own_turn},
    {"a_timer_cancelled_by_what_is_ready", a_timer_cancelled_by_what_is_ready},
    {"timers_that_schedule_timers", timers_that_schedule_timers}, {"an_error_in_a_callback", an_error_in_a_callback},
    {"threadsafe_from_the_loop_itself", threadsafe_from_the_loop_itself},
    {"sleep_of_zero_is_one_turn", sleep_of_zero_is_one_turn}, {"sleep_of_less_than_zero", sleep_of_less_than_zero},
    {"sleep_gives_a_value", sleep_gives_a_value}, {"sleepers_wake_by_deadline", sleepers_wake_by_deadline},
    {"equal_sleepers_in_order", equal_sleepers_in_order}, {"a_cancelled_sleep", a_cancelled_sleep},
    {"a_sleep_cancelled_when_it_is_over", a_sleep_cancelled_when_it_is_over},
    {"a_sleep_cancelled_just_before", a_sleep_cancelled_just_before},
    {"a_sleep_cancelled_between_its_deadline_and_its_turn", a_sleep_cancelled_between_its_deadline_and_its_turn},
    {"sleeps_overlap", sleeps_overlap}, {"zero_sleeps_and_timers", zero_sleeps_and_timers},
});

}  // namespace
}  // namespace knit::pairs
