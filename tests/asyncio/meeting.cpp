// Condition and Barrier.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

std::vector<std::string> done_of(const std::vector<Task<>>& tasks) {
    std::vector<std::string> states;
    for (const Task<>& task : tasks) {
        states.push_back(show(task.done()));
    }
    return states;
}
Coro<> notifies(Condition& cond, std::size_t count) {
    const auto guard = co_await cond.scoped();
    cond.notify(count);
}
/// Waits; says how it ended.
Coro<> waits_and_says(Condition& cond, std::string notified, std::string cancelled) {
    const auto guard = co_await cond.scoped();
    try {
        co_await cond.wait();
        log(notified);
    } catch (const CancelledError&) {
        log(cancelled);
        throw;
    }
}

Coro<> notified_in_the_order_of_waiting() {  // CONDITION-02
    Condition cond;
    const auto waits = [&](int n) -> Coro<> {
        const auto guard = co_await cond.scoped();
        co_await cond.wait();
        log(n, "notified", cond.locked());
    };
    std::vector<Task<>> tasks;
    for (int n = 0; n < 5; ++n) {
        tasks.push_back(create_task(waits(n)));
    }
    co_await tick(2);
    co_await notifies(cond, 2);
    log("notify 2");
    co_await tick(4);
    log(done_of(tasks));
    co_await notifies(cond, 1);
    co_await tick(4);
    log(done_of(tasks));
    {
        const auto guard = co_await cond.scoped();
        cond.notify_all();  // CONDITION-03
    }
    co_await gather(tasks);
}

Coro<> not_without_the_lock() {  // CONDITION-04
    Condition cond;
    const std::string text = co_await got_message(cond.wait());
    log(text, call_message([&] { cond.notify(); }), call_message([&] { cond.notify_all(); }));
}

Coro<> waits_for_a_predicate() {  // CONDITION-05
    Condition cond;
    std::vector<int> items;
    const auto consumes = [&](int n) -> Coro<> {
        const auto guard = co_await cond.scoped();
        const auto count = [&] { return items.size(); };
        const std::size_t seen = co_await cond.wait_for(count);
        log(n, "sees", seen);
        items.pop_back();
    };
    Task<> first = create_task(consumes(0));
    Task<> second = create_task(consumes(1));
    co_await tick(2);
    for (const int item : {7, 8}) {
        {
            const auto guard = co_await cond.scoped();
            items.push_back(item);
            cond.notify_all();
        }
        co_await tick(4);
    }
    co_await gather(first, second);
    log(items);
}

Coro<> cancelled_in_wait() {  // CONDITION-06
    Condition cond;
    const auto waits = [&]() -> Coro<> {
        const auto guard = co_await cond.scoped();
        try {
            co_await cond.wait();
        } catch (const CancelledError& error) {
            log("!CancelledError(" + error.message() + ")", cond.locked());
            throw;
        }
    };
    Task<> t = create_task(waits());
    co_await tick();
    t.cancel("why");
    const std::string text = co_await got(t);
    log(text, cond.locked());
}

Coro<> cancelled_while_another_has_the_lock() {  // CONDITION-07
    Condition cond;
    const auto waits = [&]() -> Coro<> {
        const auto guard = co_await cond.scoped();
        try {
            co_await cond.wait();
        } catch (const CancelledError&) {
            log("cancelled", now());
            throw;
        }
    };
    Task<> t = create_task(waits());
    co_await tick();
    {
        const auto guard = co_await cond.scoped();
        t.cancel();
        co_await sleep(3ms);
        log("gives the lock back", now());
    }
    const std::string text = co_await got(t);
    log(text);
}

Coro<> cancelled_after_the_notification() {  // CONDITION-08
    Condition cond;
    Task<> a = create_task(waits_and_says(cond, "a notified", "a cancelled"));
    Task<> b = create_task(waits_and_says(cond, "b notified", "b cancelled"));
    co_await tick(2);
    {
        const auto guard = co_await cond.scoped();
        cond.notify();
        a.cancel();
    }
    const auto results = co_await gather(return_exceptions, a, b);
    log(results);
}

Coro<> cancelled_while_it_asks_for_the_lock() {  // CONDITION-09
    Condition cond;
    const auto waits = [&]() -> Coro<> {
        const auto guard = co_await cond.scoped();
        try {
            co_await cond.wait();
            log("never");
        } catch (const CancelledError&) {
            log("has the lock", cond.locked(), now());
            throw;
        }
    };
    Task<> t = create_task(waits());
    co_await tick();
    co_await cond.acquire();
    cond.notify();
    co_await tick(2);
    t.cancel();
    co_await sleep(2ms);
    cond.release();
    const std::string text = co_await got(t);
    log(text, cond.locked());
}

Coro<> shares_a_lock() {  // CONDITION-10
    Lock lk;
    Condition a(lk);
    Condition b(lk);
    const auto waits = [&](Condition& cond, std::string name) -> Coro<> {
        const auto guard = co_await cond.scoped();
        co_await cond.wait();
        log(name, a.locked(), b.locked());
    };
    Task<> first = create_task(waits(a, "a"));
    Task<> second = create_task(waits(b, "b"));
    co_await tick(2);
    {
        const auto guard = co_await lk.scoped();
        log(a.locked(), b.locked());
        b.notify_all();
        a.notify_all();
    }
    co_await gather(first, second);
}

Coro<> wait_with_a_limit() {  // CONDITION-11
    Condition cond;
    {
        const auto guard = co_await cond.scoped();
        const std::string text = co_await got(wait_for(cond.wait(), 3ms));
        log(text, cond.locked(), now());
    }
    log(cond.locked());
}

Coro<> all_meet() {  // BARRIER-01
    Barrier barrier(3);
    const auto comes = [&](int n) -> Coro<int> {
        co_await sleep(milliseconds(n));
        const int index = co_await barrier.wait();
        log(n, "passes", index, barrier.n_waiting(), now());
        co_return index;
    };
    std::vector<Task<int>> tasks;
    for (int n = 0; n < 3; ++n) {
        tasks.push_back(create_task(comes(n)));
    }
    co_await sleep(1ms);
    co_await tick();
    log(barrier.n_waiting(), barrier.parties(), barrier.broken());
    const auto indices = co_await gather(tasks);
    log(indices);
}

Coro<> of_one_never_waits() {  // BARRIER-02
    Barrier barrier(1);
    loop().call_soon([] { log("loop ran"); });
    const int first = co_await barrier.wait();
    const int second = co_await barrier.wait();
    log(first, second);
    log(call_message([] { Barrier none(0); }));
    co_await tick();
}

Coro<> round_after_round() {  // BARRIER-03
    Barrier barrier(2);
    const auto comes = [&](std::string name) -> Coro<> {
        for (int turn = 0; turn < 3; ++turn) {
            co_await barrier.wait();
            log(name, turn);
        }
    };
    co_await gather(comes("a"), comes("b"));
    log(barrier.n_waiting());
}

Coro<> a_cancelled_one_leaves() {  // BARRIER-04
    Barrier barrier(2);
    const auto comes = [&](std::string name) -> Coro<> {
        co_await barrier.wait();
        log(name, "passes");
    };
    Task<> a = create_task(comes("a"));
    co_await tick();
    a.cancel();
    const std::string text = co_await got(a);
    log(text, barrier.n_waiting(), barrier.broken());
    co_await gather(comes("b"), comes("c"));
}

Coro<> comes_to(Barrier& barrier, std::string name) {
    const std::string text = co_await got(barrier.wait());
    log(name, text);
}
Coro<> reset() {  // BARRIER-05
    Barrier barrier(3);
    Task<> a = create_task(comes_to(barrier, "a"));
    Task<> b = create_task(comes_to(barrier, "b"));
    co_await tick();
    co_await barrier.reset();
    log(barrier.broken(), barrier.n_waiting());
    co_await gather(a, b);
    log(barrier.broken(), barrier.n_waiting());
    co_await gather(comes_to(barrier, "c"), comes_to(barrier, "d"), comes_to(barrier, "e"));
}

Coro<> aborted() {  // BARRIER-06
    Barrier barrier(3);
    Task<> a = create_task(comes_to(barrier, "a"));
    Task<> b = create_task(comes_to(barrier, "b"));
    co_await tick();
    co_await barrier.abort();
    log(barrier.broken());
    co_await comes_to(barrier, "latecomer");
    co_await gather(a, b);
    co_await barrier.reset();
    log(barrier.broken());
}

Coro<> newcomers_wait_for_the_next_round() {  // BARRIER-08
    Barrier barrier(2);
    const auto comes = [&](std::string name, int turns) -> Coro<> {
        for (int turn = 0; turn < turns; ++turn) {
            const int index = co_await barrier.wait();
            log(name, "passes", index);
        }
    };
    co_await gather(comes("a", 1), comes("b", 1), comes("c", 2), comes("d", 2));
    log(barrier.n_waiting());
}

const Family family("meeting", {
    {"notified_in_the_order_of_waiting", notified_in_the_order_of_waiting},
    {"not_without_the_lock", not_without_the_lock}, {"waits_for_a_predicate", waits_for_a_predicate},
    {"cancelled_in_wait", cancelled_in_wait},
    {"cancelled_while_another_has_the_lock", cancelled_while_another_has_the_lock},
    {"cancelled_after_the_notification", cancelled_after_the_notification},
    {"cancelled_while_it_asks_for_the_lock", cancelled_while_it_asks_for_the_lock}, {"shares_a_lock", shares_a_lock},
    {"wait_with_a_limit", wait_with_a_limit}, {"all_meet", all_meet}, {"of_one_never_waits", of_one_never_waits},
    {"round_after_round", round_after_round}, {"a_cancelled_one_leaves", a_cancelled_one_leaves}, {"reset", reset},
    {"aborted", aborted}, {"newcomers_wait_for_the_next_round", newcomers_wait_for_the_next_round},
});

}  // namespace
}  // namespace knit::pairs
