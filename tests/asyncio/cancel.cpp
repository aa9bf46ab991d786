// Cancellation: request, delivery, messages, counts; what is lost and what is kept.

#include "program.hpp"

namespace knit::pairs {
namespace {

std::string text_of(const CancelledError& error) { return "!CancelledError(" + error.message() + ")"; }
Coro<> leaf(std::string name = "leaf") {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError& error) {
        log(name, "cancelled", text_of(error));
        throw;
    }
}
Coro<> never() {
    log("never");
    co_return;
}
Coro<int> value_of(Future<int> future) { co_return co_await future; }

Coro<> before_the_first_step() {  // CANCEL-01
    Task<> t = create_task(never());
    log(t.cancel("m"), t.cancelled());
    const std::string text = co_await got_message(t);
    log(text, t.cancelled());
}

Coro<> is_a_request() {  // CANCEL-02
    Task<> t = create_task(leaf());
    co_await tick();
    const bool is_asked = t.cancel();
    log(is_asked, t.cancelled(), t.done(), t.cancelling());
    log("requester continues");
    const std::string text = co_await got(t);
    log(text);
    const bool is_asked_again = t.cancel();
    log(t.cancelled(), t.done(), is_asked_again, t.cancelling());
}

Coro<> innermost_first() {  // CANCEL-03
    const auto parent = []() -> Coro<> {
        try {
            co_await create_task(leaf("child"));
        } catch (const CancelledError&) {
            log("parent");
            throw;
        }
    };
    Task<> t = create_task(parent());
    co_await tick(2);
    t.cancel();
    const std::string text = co_await got(t);
    log(text);
}

Coro<> the_message_travels() {  // CANCEL-04
    const auto parent = []() -> Coro<> {
        try {
            co_await create_task(leaf("child"));
        } catch (const CancelledError& error) {
            log("parent", text_of(error));
            throw;
        }
    };
    Task<> t = create_task(parent());
    co_await tick(2);
    t.cancel("reason");
    const std::string text = co_await got_message(t);
    log(text);
}

Coro<> a_later_message_replaces_an_earlier_one() {
    const auto f = []() -> Coro<> {
        me().cancel("first");
        me().cancel("second");
        co_await sleep(kForever);
    };
    const std::string text = co_await got_message(create_task(f()));
    log(text);
    Task<> t = create_task(leaf());
    t.cancel("first");
    t.cancel("second");
    const std::string second = co_await got_message(t);
    log(second, t.cancelling());
}

Coro<> a_later_message_comes_too_late() {
    Task<> t = create_task(leaf());
    co_await tick();
    t.cancel("first");
    t.cancel("second");
    const std::string text = co_await got_message(t);
    log(text, t.cancelling());
    const auto parent = []() -> Coro<> { co_await create_task(leaf("child")); };
    t = create_task(parent());
    co_await tick(2);
    t.cancel("first");
    t.cancel("second");
    const std::string second = co_await got_message(t);
    log(second, t.cancelling());
}

Coro<> once_per_request() {  // CANCEL-05
    const auto f = []() -> Coro<int> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("caught", me().cancelling());
        }
        co_await sleep(1ms);
        log("later awaits are fine", now());
        co_return 1;
    };
    Task<int> t = create_task(f());
    co_await tick();
    t.cancel();
    const int value = co_await t;
    log(value, t.cancelling(), t.cancelled());
}

Coro<> cleanup_that_awaits() {  // CANCEL-06
    const auto body = []() -> Coro<> { co_await sleep(kForever); };
    const auto cleanup = []() -> Coro<> {
        co_await sleep(2ms);
        log("cleaned", now());
    };
    Task<> t = create_task(finally(body(), cleanup));
    co_await tick();
    t.cancel();
    const std::string text = co_await got(t);
    log(text, now());
}

Coro<> a_second_request_interrupts_the_cleanup() {  // CANCEL-07
    const auto body = []() -> Coro<> { co_await sleep(kForever); };
    const auto cleanup = []() -> Coro<> {
        log("cleanup begins");
        co_await sleep(kForever);
        log("never");
    };
    Task<> t = create_task(finally(body(), cleanup));
    co_await tick();
    t.cancel();
    co_await tick(2);
    t.cancel();
    const std::string text = co_await got(t);
    log(text, t.cancelling());
}

Coro<> counts() {  // CANCEL-08
    const auto f = []() -> Coro<> {
        for (int turn = 0; turn < 3; ++turn) {
            try {
                co_await sleep(kForever);
            } catch (const CancelledError&) {
                log("hit", me().cancelling());
            }
        }
        const int three = me().uncancel();
        const int two = me().uncancel();
        const int one = me().uncancel();
        log(three, two, one, me().uncancel());
        co_await sleep(1ms);
        log("undisturbed", me().cancelling());
    };
    Task<> t = create_task(f());
    for (int turn = 0; turn < 3; ++turn) {
        co_await tick(2);
        t.cancel();
    }
    co_await t;
    log(t.cancelled(), t.cancelling());
}

Coro<> two_requests_in_one_turn_hit_once() {
    const auto f = []() -> Coro<> {
        try {
            co_await sleep(kForever);
        } catch (const CancelledError&) {
            log("hit", me().cancelling());
        }
        co_await sleep(1ms);
        log("not hit again");
    };
    Task<> t = create_task(f());
    co_await tick();
    t.cancel();
    t.cancel();
    co_await t;
}

Coro<> withdrawn_before_delivery() {  // CANCEL-10
    Future<int> f = fut();
    const auto waits = [&]() -> Coro<int> {
        co_await f;
        co_return 42;
    };
    Task<int> t = create_task(waits());
    co_await tick();
    f.set_result(0);
    t.cancel();
    const int before = t.cancelling();
    log(before, t.uncancel());
    const int value = co_await t;
    log(value);
}

Coro<> uncancel_keeps_the_request_while_others_are_left() {
    Future<int> f = fut();
    Task<int> t = create_task(value_of(f));
    co_await tick();
    f.set_result(1);
    t.cancel();
    t.cancel();
    const int before = t.cancelling();
    log(before, t.uncancel());
    const std::string text = co_await got(t);
    log(text, t.cancelling());
}

Coro<> uncancel_after_the_wait_was_undone_is_too_late() {
    Task<> t = create_task(leaf());
    co_await tick();
    t.cancel();
    log(t.uncancel());
    const std::string text = co_await got(t);
    log(text, t.cancelled());
}

const Family family("cancel", {
    {"before_the_first_step", before_the_first_step}, {"is_a_request", is_a_request},
    {"innermost_first", innermost_first}, {"the_message_travels", the_message_travels},
    {"a_later_message_replaces_an_earlier_one", a_later_message_replaces_an_earlier_one},
    {"a_later_message_comes_too_late", a_later_message_comes_too_late}, {"once_per_request", once_per_request},
    {"cleanup_that_awaits", cleanup_that_awaits},
    {"a_second_request_interrupts_the_cleanup", a_second_request_interrupts_the_cleanup}, {"counts", counts},
    {"two_requests_in_one_turn_hit_once", two_requests_in_one_turn_hit_once},
    {"withdrawn_before_delivery", withdrawn_before_delivery},
    {"uncancel_keeps_the_request_while_others_are_left", uncancel_keeps_the_request_while_others_are_left},
    {"uncancel_after_the_wait_was_undone_is_too_late", uncancel_after_the_wait_was_undone_is_too_late},
});

}  // namespace
}  // namespace knit::pairs
