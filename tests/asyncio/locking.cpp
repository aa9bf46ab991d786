// Lock, Event, Semaphore: who gets in, and in which order.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

template <class S, class N>
Coro<> enters(S& shared, N n) {
    const auto guard = co_await shared.scoped();
    log(n, "has it");
}

std::vector<std::string> done_of(const std::vector<Task<>>& tasks) {
    std::vector<std::string> states;
    for (const Task<>& task : tasks) {
        states.push_back(show(task.done()));
    }
    return states;
}

Coro<> lock_in_the_order_of_asking() {  // LOCK-01
    Lock lk;
    const auto uses = [&](int n) -> Coro<> {
        log(n, "asks");
        {
            const auto guard = co_await lk.scoped();
            log(n, "has it", lk.locked());
            co_await sleep(milliseconds(n % 2));
        }
        log(n, "gave it back");
    };
    co_await gather(uses(0), uses(1), uses(2), uses(3), uses(4));
    log(lk.locked());
}

Coro<> lock_that_is_free_takes_no_turn() {
    Lock lk;
    loop().call_soon([] { log("loop ran"); });
    const bool is_mine = co_await lk.acquire();
    log(is_mine, lk.locked());
    lk.release();
    log(lk.locked(), call_message([&] { lk.release(); }));  // LOCK-02
    co_await tick();
}

Coro<> lock_waiter_cancelled() {  // LOCK-04
    Lock lk;
    co_await lk.acquire();
    Task<> a = create_task(enters(lk, "a"));
    Task<> b = create_task(enters(lk, "b"));
    co_await tick();
    a.cancel();
    co_await tick();
    lk.release();
    const auto results = co_await gather(return_exceptions, a, b);
    log(results);
}

Coro<> lock_release_and_cancel_in_one_turn() {  // LOCK-05
    Lock lk;
    for (const std::string first : {"release", "cancel"}) {
        co_await lk.acquire();
        Task<> a = create_task(enters(lk, "a"));
        Task<> b = create_task(enters(lk, "b"));
        Task<> c = create_task(enters(lk, "c"));
        co_await tick();
        if (first == "release") {
            lk.release();
            a.cancel();
        } else {
            a.cancel();
            lk.release();
        }
        log(first, lk.locked());
        const auto results = co_await gather(return_exceptions, a, b, c);
        log(results, lk.locked());
    }
}

Coro<> lock_without_barging() {  // LOCK-07
    Lock lk;
    const auto uses = [&](std::string n) -> Coro<> {
        const auto guard = co_await lk.scoped();
        log(n, "has it");
        co_await tick();
    };
    co_await lk.acquire();
    Task<> a = create_task(uses("waiter"));
    co_await tick();
    lk.release();
    log(lk.locked());
    co_await uses("newcomer");
    co_await a;
}

Coro<> lock_asked_again_at_once() {
    Lock lk;
    const auto uses = [&](std::string n) -> Coro<> {
        for (int turn = 0; turn < 3; ++turn) {
            const auto guard = co_await lk.scoped();
            log(n, turn);
        }
    };
    co_await gather(uses("a"), uses("b"), uses("c"));
    const auto holds = [&](std::string n) -> Coro<> {
        for (int turn = 0; turn < 3; ++turn) {
            const auto guard = co_await lk.scoped();
            log(n, turn);
            co_await tick();
        }
    };
    co_await gather(holds("d"), holds("e"));
}

Coro<> lock_released_by_another() {  // LOCK-08
    Lock lk;
    co_await lk.acquire();
    loop().call_later(2ms, [&] { lk.release(); });
    const bool is_mine = co_await lk.acquire();
    log(is_mine, now());
    const std::string text = co_await got(wait_for(lk.acquire(), 1ms));
    log(text, lk.locked());
    lk.release();
}

Coro<> lock_all_waiters_cancelled() {
    Lock lk;
    co_await lk.acquire();
    std::vector<Task<bool>> tasks;
    for (int n = 0; n < 3; ++n) {
        tasks.push_back(create_task(lk.acquire()));
    }
    co_await tick();
    for (Task<bool>& task : tasks) {
        task.cancel();
    }
    lk.release();
    const bool was_locked = lk.locked();
    const bool is_mine = co_await lk.acquire();
    log(was_locked, is_mine, lk.locked());
    const auto results = co_await gather(return_exceptions, tasks);
    log(results);
}

template <class N>
Coro<> waits(Event& ev, N n) {
    const bool value = co_await ev.wait();
    log(n, value);
}
Coro<> event_wakes_all_in_order() {  // EVENT-01
    Event ev;
    std::vector<Task<>> tasks;
    for (int n = 0; n < 3; ++n) {
        tasks.push_back(create_task(waits(ev, n)));
    }
    co_await tick();
    ev.set();
    log("set", ev.is_set());
    co_await waits(ev, "latecomer");
    co_await gather(tasks);
}

Coro<> event_cleared_before_the_waiters_ran() {
    Event ev;
    const auto sees = [&](std::string n) -> Coro<> {
        co_await ev.wait();
        log(n, "woken", ev.is_set());
    };
    Task<> first = create_task(sees("0"));
    Task<> second = create_task(sees("1"));
    co_await tick();
    ev.set();
    ev.clear();
    Task<> t = create_task(sees("next"));
    log(ev.is_set());
    co_await gather(first, second);
    co_await tick(2);
    log(t.done());
    ev.set();
    ev.set();
    co_await t;
}

Coro<> event_waiter_cancelled() {
    Event ev;
    const auto sees = [&](std::string n) -> Coro<> {
        try {
            co_await ev.wait();
            log(n, "woken");
        } catch (const CancelledError&) {
            log(n, "cancelled");
            throw;
        }
    };
    Task<> a = create_task(sees("a"));
    Task<> b = create_task(sees("b"));
    Task<> c = create_task(sees("c"));
    co_await tick();
    b.cancel();
    ev.set();
    a.cancel();
    const auto results = co_await gather(return_exceptions, a, b, c);
    log(results);
}

Coro<> semaphore_lets_so_many_in() {  // SEMAPHORE-01
    Semaphore s(2);
    const auto uses = [&](int n) -> Coro<> {
        {
            const auto guard = co_await s.scoped();
            log(n, "in", s.locked());
            co_await sleep(milliseconds(1 + n % 3));
        }
        log(n, "out", now());
    };
    co_await gather(uses(0), uses(1), uses(2), uses(3), uses(4), uses(5));
    log(s.locked());
}

Coro<> semaphore_released_in_a_burst() {  // SEMAPHORE-09
    Semaphore s(0);
    const auto uses = [&](std::string n) -> Coro<> {
        co_await s.acquire();
        log(n, s.locked());
    };
    std::vector<Task<>> tasks;
    for (int n = 0; n < 5; ++n) {
        tasks.push_back(create_task(uses(std::to_string(n))));
    }
    co_await tick();
    for (int count = 0; count < 3; ++count) {
        s.release();
    }
    log(s.locked());
    Task<> late = create_task(uses("late"));
    co_await tick(2);
    log(done_of(tasks), late.done());
    for (int count = 0; count < 3; ++count) {
        s.release();
    }
    tasks.push_back(late);
    co_await gather(tasks);
    log(s.locked());
}

Coro<> semaphore_waiter_cancelled_after_its_grant() {  // SEMAPHORE-07
    Semaphore s(0);
    const auto uses = [&](std::string n) -> Coro<> {
        co_await s.acquire();
        log(n, "in");
    };
    Task<> a = create_task(uses("a"));
    Task<> b = create_task(uses("b"));
    Task<> c = create_task(uses("c"));
    co_await tick();
    s.release();
    a.cancel();
    log(s.locked());
    co_await tick(3);
    log(a.cancelled(), b.done(), c.done(), s.locked());
    c.cancel();
    s.release();
    co_await tick(3);
    log(c.cancelled(), s.locked());
}

Coro<> semaphore_bounds() {  // SEMAPHORE-02
    log(call_message([] { Semaphore negative(-1); }));
    Semaphore s(1);
    s.release();
    co_await s.acquire();
    log(s.locked());
    co_await s.acquire();
    log(s.locked());
    BoundedSemaphore b(1);
    log(call_message([&] { b.release(); }));
}

Coro<> semaphore_asked_again_while_others_wait() {  // SEMAPHORE-04
    Semaphore s(1);
    const auto uses = [&](std::string n) -> Coro<> {
        for (int turn = 0; turn < 3; ++turn) {
            co_await s.acquire();
            log(n, turn);
            s.release();
            if (turn == 1) {
                co_await tick();
            }
        }
    };
    co_await gather(uses("a"), uses("b"));
    const auto holds = [&](std::string n) -> Coro<> {
        for (int turn = 0; turn < 2; ++turn) {
            const auto guard = co_await s.scoped();
            log(n, turn);
            co_await tick();
        }
    };
    co_await gather(holds("c"), holds("d"), holds("e"));
}

Coro<> wake_ups_take_a_turn() {  // ORDER-08
    Lock lk;
    Event ev;
    Semaphore s(0);
    Queue<int> q;
    co_await lk.acquire();
    std::vector<int> turns;
    Task<bool> locker = create_task(lk.acquire());
    co_await tick(2);
    lk.release();
    turns.push_back(co_await turns_until_done(locker));
    Task<bool> waiter = create_task(ev.wait());
    co_await tick(2);
    ev.set();
    turns.push_back(co_await turns_until_done(waiter));
    Task<bool> acquirer = create_task(s.acquire());
    co_await tick(2);
    s.release();
    turns.push_back(co_await turns_until_done(acquirer));
    Task<int> getter = create_task(q.get());
    co_await tick(2);
    q.put_nowait(1);
    turns.push_back(co_await turns_until_done(getter));
    log(turns);
}

const Family family("locking", {
    {"lock_in_the_order_of_asking", lock_in_the_order_of_asking},
    {"lock_that_is_free_takes_no_turn", lock_that_is_free_takes_no_turn},
    {"lock_waiter_cancelled", lock_waiter_cancelled},
    {"lock_release_and_cancel_in_one_turn", lock_release_and_cancel_in_one_turn},
    {"lock_without_barging", lock_without_barging}, {"lock_asked_again_at_once", lock_asked_again_at_once},
    {"lock_released_by_another", lock_released_by_another}, {"lock_all_waiters_cancelled", lock_all_waiters_cancelled},
    {"event_wakes_all_in_order", event_wakes_all_in_order},
    {"event_cleared_before_the_waiters_ran", event_cleared_before_the_waiters_ran},
    {"event_waiter_cancelled", event_waiter_cancelled}, {"semaphore_lets_so_many_in", semaphore_lets_so_many_in},
    {"semaphore_released_in_a_burst", semaphore_released_in_a_burst},
    {"semaphore_waiter_cancelled_after_its_grant", semaphore_waiter_cancelled_after_its_grant},
    {"semaphore_bounds", semaphore_bounds},
    {"semaphore_asked_again_while_others_wait", semaphore_asked_again_while_others_wait},
    {"wake_ups_take_a_turn", wake_ups_take_a_turn},
});

}  // namespace
}  // namespace knit::pairs
