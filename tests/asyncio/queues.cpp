// Queue, LifoQueue, PriorityQueue: who gets what, and when.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

Coro<> gets(Queue<int>& q, std::string n) {
    const int item = co_await q.get();
    log(n, "got", item);
}
Coro<> puts(Queue<int>& q, int i) {
    co_await q.put(i);
    log("put", i);
}
std::vector<int> take(Queue<int>& q, int count) {
    std::vector<int> items;
    for (int place = 0; place < count; ++place) {
        items.push_back(q.get_nowait());
    }
    return items;
}

Coro<> first_in_first_out() {  // QUEUE-01
    Queue<int> q;
    for (int i = 0; i < 3; ++i) {
        q.put_nowait(i);
    }
    log(q.qsize(), q.empty(), q.full());
    const std::vector<int> items = take(q, 3);
    log(items, q.empty());
    log(call([&] { return q.get_nowait(); }));
    co_return;
}

Coro<> put_waits_for_room() {  // QUEUE-02
    Queue<int> q(2);
    const auto puts_all = [&]() -> Coro<> {
        for (int i = 0; i < 4; ++i) {
            co_await q.put(i);
            log("put", i, q.qsize(), q.full());
        }
    };
    Task<> t = create_task(puts_all());
    co_await tick(2);
    log(call([&] { q.put_nowait(9); }));
    const int first = co_await q.get();
    log(first);
    co_await tick();
    const int second = co_await q.get();
    log(second, q.qsize());
    co_await tick(2);
    log(t.done(), q.qsize(), q.maxsize());
}

Coro<> get_waits_for_an_item() {  // QUEUE-03
    Queue<int> q;
    std::vector<Task<>> tasks;
    for (const char* n : {"a", "b", "c"}) {
        tasks.push_back(create_task(gets(q, n)));
    }
    co_await tick();
    q.put_nowait(1);
    log("put 1");
    co_await tick(2);
    q.put_nowait(2);
    q.put_nowait(3);
    log("put 2 and 3", q.qsize());
    co_await gather(tasks);
}

Coro<> no_turn_when_nobody_waits() {  // QUEUE-05
    Queue<int> q(1);
    loop().call_soon([] { log("loop ran"); });
    co_await q.put(1);
    const int first = co_await q.get();
    log(first);
    co_await q.put(2);
    const int second = co_await q.get();
    log(second);
    co_await tick();
}

Coro<> a_cancelled_getter_is_skipped() {  // QUEUE-08
    Queue<int> q;
    Task<> a = create_task(gets(q, "a"));
    Task<> b = create_task(gets(q, "b"));
    co_await tick();
    a.cancel();
    co_await tick();
    q.put_nowait(1);
    const auto results = co_await gather(return_exceptions, a, b);
    log(results);
}

Coro<> a_getter_cancelled_after_it_was_woken() {  // QUEUE-09, QUEUE-10
    Queue<int> q;
    Task<> a = create_task(gets(q, "a"));
    Task<> b = create_task(gets(q, "b"));
    co_await tick();
    q.put_nowait(1);
    a.cancel();
    co_await tick(3);
    log(a.cancelled(), b.done(), q.qsize());
    b.cancel();
    Task<> t = create_task(gets(q, "c"));
    co_await tick();
    q.put_nowait(2);
    q.put_nowait(3);
    t.cancel();
    const std::string text = co_await got(t);
    const std::size_t size = q.qsize();
    const int first = q.get_nowait();
    log(text, size, first, q.get_nowait());
}

Coro<> a_putter_cancelled() {  // QUEUE-11
    Queue<int> q(1);
    co_await q.put(0);
    Task<> a = create_task(puts(q, 1));
    Task<> b = create_task(puts(q, 2));
    co_await tick();
    a.cancel();
    co_await tick();
    log(q.get_nowait());
    const auto results = co_await gather(return_exceptions, a, b);
    log(results);
    const int item = q.get_nowait();
    log(item, q.empty());
}

Coro<> a_putter_cancelled_after_it_was_woken() {  // QUEUE-12
    Queue<int> q(1);
    co_await q.put(0);
    Task<> a = create_task(puts(q, 1));
    Task<> b = create_task(puts(q, 2));
    co_await tick();
    log(q.get_nowait());
    a.cancel();
    const auto results = co_await gather(return_exceptions, a, b);
    log(results);
    const int item = q.get_nowait();
    log(item, q.empty());
}

Coro<> join_waits_for_every_task_done() {  // QUEUE-14
    Queue<int> q;
    const auto works = [&]() -> Coro<> {
        for (;;) {
            const int item = co_await q.get();
            co_await sleep(milliseconds(item));
            log("done", item, now());
            q.task_done();
        }
    };
    const auto joins = [&](std::string n) -> Coro<> {
        co_await q.join();
        log(n, "joined", now());
    };
    for (const int item : {2, 1, 3}) {
        q.put_nowait(item);
    }
    Task<> first = create_task(works());
    Task<> second = create_task(works());
    co_await gather(joins("a"), joins("b"));
    first.cancel();
    second.cancel();
    co_await gather(return_exceptions, first, second);
    log(call_message([&] { q.task_done(); }));
    co_await q.join();
}

Coro<> join_of_an_empty_queue_takes_no_turn() {
    Queue<int> q;
    loop().call_soon([] { log("loop ran"); });
    co_await q.join();
    log("joined");
    co_await tick();
}

Coro<> producer_and_consumer_of_one_place() {  // QUEUE-16
    Queue<int> q(1);
    const auto produces = [&]() -> Coro<> {
        for (int i = 0; i < 5; ++i) {
            co_await puts(q, i);
        }
        co_await q.put(-1);
    };
    const auto consumes = [&]() -> Coro<> {
        for (int item = co_await q.get(); item >= 0; item = co_await q.get()) {
            log("got", item);
        }
    };
    co_await gather(produces(), consumes());
}

Coro<> several_producers_and_one_consumer() {
    Queue<int> q(2);
    const auto produces = [&](int name, milliseconds pause) -> Coro<> {
        for (int i = 0; i < 3; ++i) {
            co_await puts(q, name * 10 + i);
            co_await sleep(pause);
        }
    };
    const auto consumes = [&]() -> Coro<> {
        co_await sleep(5ms);  // never in one turn with a producer: nobody overtakes a woken one in knit
        for (int count = 0; count < 9; ++count) {
            const int item = co_await q.get();
            log("got", item, now());
            co_await sleep(10ms);
        }
    };
    co_await gather(produces(1, 3ms), produces(2, 4ms), produces(3, 7ms), consumes());
}

Coro<> one_producer_and_several_consumers() {
    Queue<int> q;
    const auto consumes = [&](std::string name) -> Coro<> {
        for (;;) {
            const int item = co_await q.get();
            log(name, "got", item, now());
            q.task_done();
            co_await sleep(milliseconds(item % 3 * 2 + 3));
        }
    };
    std::vector<Task<>> consumers;
    for (const char* name : {"a", "b", "c"}) {
        consumers.push_back(create_task(consumes(name)));
    }
    co_await tick();
    for (int i = 0; i < 9; ++i) {
        co_await q.put(i);
        co_await sleep(1ms);
        co_await q.join();
        co_await sleep(1ms);
    }
    co_await sleep(5ms);
    for (Task<>& consumer : consumers) {
        consumer.cancel();
    }
    const auto results = co_await gather(return_exceptions, consumers);
    log(results);
}

Coro<> smallest_first() {  // PRIORITY-01
    PriorityQueue<int> q;
    for (const int item : {5, 1, 4, 2, 3, 1}) {
        q.put_nowait(item);
    }
    log(take(q, 6));
    Task<int> t = create_task(q.get());
    co_await tick();
    q.put_nowait(7);
    q.put_nowait(6);
    const int first = co_await t;
    log(first, q.get_nowait());
}

Coro<> last_first() {  // LIFO-01
    LifoQueue<int> q(3);
    for (int item = 0; item < 3; ++item) {
        co_await q.put(item);
    }
    Task<> t = create_task(q.put(9));
    co_await tick();
    const bool was_full = q.full();
    log(was_full, q.get_nowait());
    co_await t;
    const std::vector<int> items = take(q, 3);
    log(items, q.empty());
}

Coro<> get_with_a_limit() {  // WAITFOR-17
    Queue<std::string> q;
    const std::string text = co_await got(wait_for(q.get(), 2ms));
    log(text);
    q.put_nowait("kept");
    const std::string item = co_await q.get();
    log(item);
}

Coro<> shutdown_of_an_empty_one() {  // QSHUTDOWN-01
    Queue<int> q;
    const auto tries = [&](std::string n) -> Coro<> {
        const std::string text = co_await got(q.get());
        log(n, text);
    };
    Task<> a = create_task(tries("a"));
    Task<> b = create_task(tries("b"));
    co_await tick();
    q.shutdown();
    co_await gather(a, b);
    log(call([&] { return q.get_nowait(); }));
    log(call([&] { q.put_nowait(1); }));
    const std::string text = co_await got(q.put(1));
    log(text);
    co_await q.join();
    log("joined");
}

Coro<> shutdown_lets_the_items_be_taken() {  // QSHUTDOWN-02
    Queue<int> q;
    q.put_nowait(1);
    q.put_nowait(2);
    q.shutdown();
    log(call([&] { q.put_nowait(3); }));
    const int first = co_await q.get();
    log(first);
    log(q.get_nowait());
    log(call([&] { return q.get_nowait(); }));
    Task<> t = create_task(q.join());
    co_await tick();
    log(t.done());
    q.task_done();
    q.task_done();
    co_await tick(2);
    log(t.done());
}

const Family family("queues", {
    {"first_in_first_out", first_in_first_out}, {"put_waits_for_room", put_waits_for_room},
    {"get_waits_for_an_item", get_waits_for_an_item}, {"no_turn_when_nobody_waits", no_turn_when_nobody_waits},
    {"a_cancelled_getter_is_skipped", a_cancelled_getter_is_skipped},
    {"a_getter_cancelled_after_it_was_woken", a_getter_cancelled_after_it_was_woken},
    {"a_putter_cancelled", a_putter_cancelled},
    {"a_putter_cancelled_after_it_was_woken", a_putter_cancelled_after_it_was_woken},
    {"join_waits_for_every_task_done", join_waits_for_every_task_done},
    {"join_of_an_empty_queue_takes_no_turn", join_of_an_empty_queue_takes_no_turn},
    {"producer_and_consumer_of_one_place", producer_and_consumer_of_one_place},
    {"several_producers_and_one_consumer", several_producers_and_one_consumer},
    {"one_producer_and_several_consumers", one_producer_and_several_consumers}, {"smallest_first", smallest_first},
    {"last_first", last_first}, {"get_with_a_limit", get_with_a_limit},
    {"shutdown_of_an_empty_one", shutdown_of_an_empty_one},
    {"shutdown_lets_the_items_be_taken", shutdown_lets_the_items_be_taken},
});

}  // namespace
}  // namespace knit::pairs
