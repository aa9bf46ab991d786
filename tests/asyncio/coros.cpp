// Coroutine objects and what awaiting them does.

#include "program.hpp"

namespace knit::pairs {
namespace {

Coro<> awaited_inline_takes_no_turn() {  // AWAIT-01
    const auto other = []() -> Coro<> {
        log("other");
        co_return;
    };
    const auto f = []() -> Coro<int> {
        log("f");
        co_return 1;
    };
    Task<> t = create_task(other());
    const int value = co_await f();
    log(value);
    log("after f");
    co_await t;
}

/// Awaits one that stays with its owner.
Coro<std::string> got_of(Coro<int>& coro) {
    try {
        const int value = co_await coro;
        co_return show(value);
    } catch (...) {
        co_return error_text(std::current_exception(), true);
    }
}

Coro<> awaited_twice() {  // CORO-04
    const auto f = []() -> Coro<int> { co_return 1; };
    Coro<int> c = f();
    const int value = co_await c;
    log(value);
    const std::string text = co_await got_of(c);
    log(text);
}

Coro<> awaited_while_a_task_is_in_it() {  // CORO-05
    const auto f = []() -> Coro<int> {
        co_await sleep(5ms);
        co_return 1;
    };
    Coro<int> c = f();
    const auto awaits = [](Coro<int>& coro) -> Coro<int> { co_return co_await coro; };
    Task<int> t = create_task(awaits(c));
    co_await tick();
    const std::string text = co_await got_of(c);
    log(text);
    const int value = co_await t;
    log(value);
}

Coro<> arguments_are_taken_at_the_call() {  // CORO-06
    const auto argument = [] {
        log("argument");
        return 1;
    };
    const auto f = [](int x) -> Coro<> {
        log("body", x);
        co_return;
    };
    Coro<> c = f(argument());
    log("called");
    co_await std::move(c);
}

Coro<> inner_fails(int depth) {
    if (depth == 0) {
        throw Err("deep");
    }
    try {
        co_await inner_fails(depth - 1);
    } catch (const Err&) {
        log("passes", depth);
        throw;
    }
}
Coro<> an_error_passes_frame_by_frame() {  // CORO-08
    const std::string text = co_await got_message(inner_fails(4));
    log(text);
    log("continues");
}

Coro<int> down(int depth) {
    if (depth == 0) {
        co_return 0;
    }
    co_return 1 + co_await down(depth - 1);
}
Coro<> a_deep_chain() {
    const int here = co_await down(300);
    log(here);
    const int there = co_await create_task(down(300));
    log(there);
}

Coro<> awaits_that_do_not_suspend_keep_the_loop() {
    Future<int> f = fut();
    f.set_result(1);
    loop().call_soon([] { log("loop ran"); });
    int total = 0;
    for (int count = 0; count < 100; ++count) {
        total += co_await f;
    }
    log(total);
    co_await tick();
}

Coro<> inner(std::string name) {
    log(name, "in");
    co_await tick();
    log(name, "out");
}
Coro<> outer(std::string name) {
    co_await inner(name + "1");
    co_await inner(name + "2");
}
Coro<> a_turn_in_the_middle_of_nested_ones() { co_await gather(outer("a"), outer("b")); }

Coro<> an_error_while_another_is_handled() {
    const auto body = []() -> Coro<> {
        throw Err("body");
        co_return;
    };
    const auto cleanup = []() -> Coro<> {
        co_await tick();
        throw Err2("cleanup");
    };
    const std::string text = co_await got_message(finally(body(), cleanup));
    log(text);
}

const Family family("coros", {
    {"awaited_inline_takes_no_turn", awaited_inline_takes_no_turn}, {"awaited_twice", awaited_twice},
    {"awaited_while_a_task_is_in_it", awaited_while_a_task_is_in_it},
    {"arguments_are_taken_at_the_call", arguments_are_taken_at_the_call},
    {"an_error_passes_frame_by_frame", an_error_passes_frame_by_frame}, {"a_deep_chain", a_deep_chain},
    {"awaits_that_do_not_suspend_keep_the_loop", awaits_that_do_not_suspend_keep_the_loop},
    {"a_turn_in_the_middle_of_nested_ones", a_turn_in_the_middle_of_nested_ones},
    {"an_error_while_another_is_handled", an_error_while_another_is_handled},
});

}  // namespace
}  // namespace knit::pairs
