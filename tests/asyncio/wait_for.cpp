// wait_for(): deadlines for one awaitable.

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
Coro<> clean_slowly() {
    const auto body = []() -> Coro<> { co_await sleep(kForever); };
    const auto cleanup = []() -> Coro<> {
        log("cleanup");
        co_await sleep(10ms);
        log("cleanup is over");
    };
    co_await finally(body(), cleanup);
}
Coro<> fail_cleaning() {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        throw Err("cleanup failed");
    }
}
Coro<std::string> swallow() {
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        log("swallowed");
    }
    co_return "value";
}

Coro<> wait_for_in_time() {  // WAITFOR-01
    const std::string a = co_await wait_for(sleep(1ms, std::string("a")), 10ms);
    const std::string b = co_await wait_for(sleep(1ms, std::string("b")), std::nullopt);
    log(a, b, now());
    Task<std::string> t = create_task(sleep(1ms, std::string("task")));
    const std::string c = co_await wait_for(t, 10ms);
    log(c);
    Future<std::string> f = fut<std::string>();
    f.set_result("future");
    loop().call_soon([] { log("loop ran"); });
    const std::string d = co_await wait_for(f, 1ms);
    log(d);
    co_await tick();
}

Coro<> wait_for_waits_for_the_cleanup() {  // WAITFOR-02
    Task<> t = create_task(clean_slowly());
    const std::string text = co_await got(wait_for(t, 5ms));
    log(text, t.cancelled(), now());
}

Coro<> wait_for_and_a_failing_cleanup() {  // WAITFOR-04
    const std::string inline_text = co_await got_message(wait_for(fail_cleaning(), 5ms));
    log(inline_text);
    const std::string task_text = co_await got_message(wait_for(create_task(fail_cleaning()), 5ms));
    log(task_text);
}

Coro<> wait_for_nothing() {  // WAITFOR-05
    const auto f = []() -> Coro<> {
        log("never");
        co_return;
    };
    const std::string zero = co_await got(wait_for(f(), 0ms));
    const std::string less = co_await got(wait_for(f(), -1ms));
    log(zero, less);
    Task<> t = create_task(forever("task"));
    co_await tick();
    const std::string text = co_await got(wait_for(t, 0ms));
    log(text, t.cancelled());
    Future<int> done = fut();
    done.set_result(1);
    const int value = co_await wait_for(done, 0ms);
    log(value);
}

Coro<> wait_for_swallowed_by_the_task() {  // WAITFOR-03
    const std::string task_text = co_await got(wait_for(create_task(swallow()), 2ms));
    log(task_text, me().cancelling());
    const std::string inline_text = co_await got(wait_for(swallow(), 2ms));
    log(inline_text, me().cancelling());
}

Coro<> wait_for_cancelled_from_outside() {  // WAITFOR-08
    Task<> i = create_task(forever("inner"));
    Task<> o = create_task(wait_for(i, 60ms));
    co_await tick(2);
    o.cancel();
    const std::string text = co_await got(o);
    log(text, i.cancelled());
}

Coro<> wait_for_a_shield() {  // WAITFOR-10
    Task<std::string> t = create_task(sleep(20ms, std::string("done")));
    const std::string text = co_await got(wait_for(shield(t), 3ms));
    log(text, t.done(), now());
    const std::string value = co_await t;
    log(value, now());
}

Coro<> wait_for_in_the_current_task() {  // WAITFOR-12
    const auto f = []() -> Coro<std::uint64_t> { co_return me().id(); };
    const std::uint64_t inline_id = co_await wait_for(f(), 10ms);
    log(inline_id == me().id());
    const std::uint64_t task_id = co_await wait_for(create_task(f()), 10ms);
    log(task_id == me().id());
}

Coro<std::string> slept(std::string n) {
    co_await sleep(2ms);
    co_return n;
}
Coro<> wait_for_completion_in_the_turn_of_the_deadline() {
    const std::string inline_text = co_await got(wait_for(slept("inline"), 2ms));
    log(inline_text, now());
    Task<std::string> t = create_task(slept("task"));
    const std::string task_text = co_await got(wait_for(t, 2ms));
    log(task_text, t.cancelled(), now());
    t = create_task(slept("earlier task"));
    co_await tick();
    const std::string earlier_text = co_await got(wait_for(t, 2ms));
    log(earlier_text, t.cancelled(), now());
    Future<std::string> g = fut<std::string>();
    loop().call_later(2ms, [g]() mutable {
        if (!g.done()) {
            g.set_result("future");
        }
    });
    const std::string future_text = co_await got(wait_for(g, 2ms));
    log(future_text, g.cancelled(), now());
}

Coro<> deadline(int n) {
    const auto body = [n](Timeout&) -> Coro<> { co_await sleep(milliseconds(n % 3 + 1)); };
    try {
        co_await timeout_scope(milliseconds(n % 4), body);
        log(n, "in time", now());
    } catch (const TimeoutError&) {
        log(n, "too late", now());
    }
}
Coro<> many_deadlines() {
    std::vector<Coro<>> all;
    for (int n = 0; n < 12; ++n) {
        all.push_back(deadline(n));
    }
    co_await gather(std::move(all));
}

const Family family("wait_for", {
    {"wait_for_in_time", wait_for_in_time}, {"wait_for_waits_for_the_cleanup", wait_for_waits_for_the_cleanup},
    {"wait_for_and_a_failing_cleanup", wait_for_and_a_failing_cleanup}, {"wait_for_nothing", wait_for_nothing},
    {"wait_for_swallowed_by_the_task", wait_for_swallowed_by_the_task},
    {"wait_for_cancelled_from_outside", wait_for_cancelled_from_outside}, {"wait_for_a_shield", wait_for_a_shield},
    {"wait_for_in_the_current_task", wait_for_in_the_current_task},
    {"wait_for_completion_in_the_turn_of_the_deadline", wait_for_completion_in_the_turn_of_the_deadline},
    {"many_deadlines", many_deadlines},
});

}  // namespace
}  // namespace knit::pairs
