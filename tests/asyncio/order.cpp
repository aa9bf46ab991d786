// Who runs when: turns from cause to effect, and first in, first out.

#include "program.hpp"

namespace knit::pairs {
namespace {

Coro<> waits(Future<int> future) { co_await future; }
Coro<> forever() { co_await sleep(kForever); }

Coro<> future_to_waiter() {  // ORDER-01
    Future<int> f = fut();
    Task<> t = create_task(waits(f));
    co_await tick();
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> task_to_awaiter() {  // ORDER-02
    Future<int> f = fut();
    Task<> c = create_task(waits(f));
    const auto parent = [&]() -> Coro<> { co_await c; };
    Task<> t = create_task(parent());
    co_await tick();
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> chain_of_tasks() {
    Future<int> f = fut();
    const auto first = [&]() -> Coro<int> { co_return co_await f; };
    const auto next_one = [](Task<int> previous) -> Coro<int> {
        const int value = co_await previous + 1;
        log("link", value);
        co_return value;
    };
    Task<int> t = create_task(first());
    for (int link = 0; link < 4; ++link) {
        t = create_task(next_one(t));
    }
    co_await tick(2);
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns, t.result());
}

Coro<> gather_to_awaiter() {  // ORDER-03
    Future<int> f = fut();
    const auto parent = [&]() -> Coro<> { co_await gather(waits(f), waits(f)); };
    Task<> t = create_task(parent());
    co_await tick(2);
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> gather_of_futures_to_awaiter() {
    Future<int> f = fut();
    Future<int> g = fut();
    const auto parent = [&]() -> Coro<> { co_await gather(f, g); };
    Task<> t = create_task(parent());
    co_await tick(2);
    g.set_result(1);
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> nested_gathers_to_awaiter() {
    Future<int> f = fut();
    const auto parent = [&]() -> Coro<> {
        co_await gather(gather(waits(f), waits(f)), gather(gather(waits(f))));
    };
    Task<> t = create_task(parent());
    co_await tick(2);
    f.set_result(1);
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> cancel_through_tasks() {  // ORDER-09
    Task<> c = create_task(forever());
    const auto parent = [&]() -> Coro<> { co_await c; };
    Task<> t = create_task(parent());
    co_await tick(2);
    t.cancel();
    const int turns = co_await turns_until_done(t);
    log(turns, c.cancelled());
}

Coro<> cancel_through_a_gather() {
    const auto parent = []() -> Coro<> { co_await gather(forever(), forever()); };
    Task<> t = create_task(parent());
    co_await tick(3);
    t.cancel();
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> cancel_of_an_unstarted_task() {
    const auto never = []() -> Coro<> {
        log("never");
        co_return;
    };
    Task<> t = create_task(never());
    t.cancel();
    const int turns = co_await turns_until_done(t);
    log(turns);
}

Coro<> call_soon_and_create_task_share_a_queue() {  // ORDER-10
    const auto f = [](int n) -> Coro<> {
        log(n);
        co_return;
    };
    loop().call_soon([] { log(1); });
    Task<> a = create_task(f(2));
    loop().call_soon([] { log(3); });
    Task<> b = create_task(f(4));
    co_await sleep(0s);
    log(a.done(), b.done());
}

Coro<> turns(std::string name, int count) {
    for (int turn = 0; turn < count; ++turn) {
        log(name, turn);
        co_await sleep(0s);
    }
}
Coro<> sleeps(std::string name, std::chrono::milliseconds delay) {
    for (int turn = 0; turn < 3; ++turn) {
        co_await sleep(delay);
        log(name, turn, now());
    }
}
Coro<> sleepers_and_yielders_interleave() {
    co_await gather(turns("a", 3), sleeps("x", 2ms), turns("b", 4), sleeps("y", 1ms), turns("c", 2), sleeps("z", 2ms));
}

Coro<> timers_join_the_queue_behind_what_is_ready() {
    loop().call_later(1ms, [] { log("timer"); });
    co_await sleep(1ms);
    log("sleeper");
    loop().call_later(0ms, [] { log("timer of zero"); });
    loop().call_soon([] { log("soon"); });
    co_await sleep(0s);
    log("--");
    co_await sleep(0s);
    log("end");
}

void link(int n) {
    log("link", n);
    if (n != 0) {
        loop().call_soon(&link, n - 1);
    }
}
Coro<> a_callback_chain_takes_a_turn_a_link() {
    loop().call_soon(&link, 3);
    for (int turn = 0; turn < 5; ++turn) {
        log("turn", turn);
        co_await sleep(0s);
    }
}

Coro<> waiters_of_a_task_in_the_order_of_waiting() {
    const auto child = []() -> Coro<> {
        co_await sleep(1ms);
        log("child");
    };
    Task<> c = create_task(child());
    const auto waiter = [&](int n) -> Coro<> {
        co_await c;
        log("waiter", n);
    };
    Task<> first = create_task(waiter(1));
    co_await tick();
    c.add_done_callback([] { log("callback 2"); });
    Task<> second = create_task(waiter(3));
    co_await tick();
    auto both = gather(c, c).future();
    c.add_done_callback([] { loop().call_soon([] { log("soon of 4"); }); });
    both.add_done_callback([] { log("gather"); });
    co_await gather(first, second);
    log("end");
}

Coro<> set_result_in_a_callback_beside_timers() {
    Future<std::string> f = fut<std::string>();
    Future<std::string> g = fut<std::string>();
    const auto waiter = [](std::string name, Future<std::string> future) -> Coro<> {
        const std::string value = co_await future;
        log(name, value, now());
    };
    Task<> a = create_task(waiter("a", f));
    Task<> b = create_task(waiter("b", g));
    loop().call_later(2ms, [&] { g.set_result("g"); });
    loop().call_later(2ms, [&] { f.set_result("f"); });
    loop().call_later(2ms, [] { log("third"); });
    loop().call_at(loop().time() + 1ms, [] { log("earlier"); });
    co_await gather(a, b);
}

using Hits = std::vector<Future<>>;
Coro<> player(std::string name, Hits mine, Hits other) {
    for (std::size_t hit = 0; hit < 3; ++hit) {
        co_await mine[hit];
        log(name, hit);
        other[hit].set_result();
    }
}
Coro<> ping_pong() {
    Hits ping(5);
    Hits pong(4);
    Task<> a = create_task(player("ping", ping, pong));
    Hits later(ping.begin() + 1, ping.end());
    Task<> b = create_task(player("pong", pong, later));
    ping[0].set_result();
    co_await gather(a, b);
}

struct Store {
    std::vector<int> items;
    std::vector<Future<>> waiting;
};
Coro<> consume(Store& store, std::string name) {
    for (int count = 0; count < 3; ++count) {
        while (store.items.empty()) {
            Future<> f;
            store.waiting.push_back(f);
            co_await f;
        }
        log(name, store.items.front());
        store.items.erase(store.items.begin());
    }
}
Coro<> produce(Store& store, int name, std::chrono::milliseconds pause) {
    for (int number = 0; number < 3; ++number) {
        co_await sleep(pause);
        store.items.push_back(name * 10 + number);
        if (!store.waiting.empty()) {
            store.waiting.front().set_result();
            store.waiting.erase(store.waiting.begin());
        }
        log("produced", name * 10 + number);
    }
}
Coro<> producers_and_consumers_by_futures() {
    Store store;
    co_await gather(consume(store, "a"), consume(store, "b"), produce(store, 1, 1ms), produce(store, 2, 0ms));
}

const Family family("order", {
    {"future_to_waiter", future_to_waiter}, {"task_to_awaiter", task_to_awaiter}, {"chain_of_tasks", chain_of_tasks},
    {"gather_to_awaiter", gather_to_awaiter}, {"gather_of_futures_to_awaiter", gather_of_futures_to_awaiter},
    {"nested_gathers_to_awaiter", nested_gathers_to_awaiter}, {"cancel_through_tasks", cancel_through_tasks},
    {"cancel_through_a_gather", cancel_through_a_gather}, {"cancel_of_an_unstarted_task", cancel_of_an_unstarted_task},
    {"call_soon_and_create_task_share_a_queue", call_soon_and_create_task_share_a_queue},
    {"sleepers_and_yielders_interleave", sleepers_and_yielders_interleave},
    {"timers_join_the_queue_behind_what_is_ready", timers_join_the_queue_behind_what_is_ready},
    {"a_callback_chain_takes_a_turn_a_link", a_callback_chain_takes_a_turn_a_link},
    {"waiters_of_a_task_in_the_order_of_waiting", waiters_of_a_task_in_the_order_of_waiting},
    {"set_result_in_a_callback_beside_timers", set_result_in_a_callback_beside_timers}, {"ping_pong", ping_pong},
    {"producers_and_consumers_by_futures", producers_and_consumers_by_futures},
});

}  // namespace
}  // namespace knit::pairs
