// wait(), as_completed(), shield().

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

template <class V>
Coro<V> value_after(milliseconds delay, V value) {
    co_await sleep(delay);
    log("done", value);
    co_return value;
}
Coro<std::string> name_after(milliseconds delay, std::string name) { return value_after<std::string>(delay, name); }
Coro<int> fail_after(milliseconds delay, std::string what) {
    co_await sleep(delay);
    throw Err(what);
}

template <class T>
std::vector<int> places(const std::vector<Task<T>>& tasks, const std::vector<Task<T>>& among) {
    std::vector<int> found;
    for (std::size_t place = 0; place < tasks.size(); ++place) {
        for (const Task<T>& task : among) {
            if (task == tasks[place]) {
                found.push_back(static_cast<int>(place));
            }
        }
    }
    return found;
}
template <class T>
void log_result(const std::vector<Task<T>>& tasks, const WaitResult<Task<T>>& result) {
    log(places(tasks, result.done), places(tasks, result.pending), now());
}
using Tasks = std::vector<Task<int>>;
Tasks start(std::initializer_list<int> delays) {
    Tasks tasks;
    for (const int delay : delays) {
        tasks.push_back(create_task(value_after(milliseconds(delay), delay)));
    }
    return tasks;
}
WaitOptions when(ReturnWhen return_when) { return WaitOptions{.timeout = {}, .return_when = return_when}; }
WaitOptions within(Duration timeout) { return WaitOptions{.timeout = timeout, .return_when = ALL_COMPLETED}; }

Coro<> wait_for_all() {  // WAIT-01
    const Tasks tasks = start({3, 1, 2});
    const auto result = co_await wait(tasks);
    log_result(tasks, result);
}

Coro<> wait_for_the_first() {  // WAIT-02
    const Tasks tasks = start({3, 1, 2});
    const auto first = co_await wait(tasks, when(FIRST_COMPLETED));
    log_result(tasks, first);
    const auto second = co_await wait(first.pending, when(FIRST_COMPLETED));
    log_result(tasks, second);
    co_await wait(tasks);
}

Coro<> wait_tells_what_is_done_when_it_resumes() {  // WAIT-03
    std::vector<Task<>> tasks;
    for (const int count : {1, 2, 3, 4}) {
        tasks.push_back(create_task(tick(count)));
    }
    const auto first = co_await create_task(wait(tasks, when(FIRST_COMPLETED)));
    log(places(tasks, first.done), places(tasks, first.pending));
    const auto second = co_await wait(tasks);
    log(places(tasks, second.done), places(tasks, second.pending));
}

Coro<> wait_for_the_first_error() {  // WAIT-04
    Tasks tasks = start({1});
    tasks.push_back(create_task(fail_after(2ms, "x")));
    tasks.push_back(create_task(value_after(5ms, 5)));
    const auto first = co_await wait(tasks, when(FIRST_EXCEPTION));
    log_result(tasks, first);
    log(tasks[1].exception());
    tasks[2].cancel();
    const Tasks two = list_of<Task<int>>(tasks[0], tasks[2]);
    const auto second = co_await wait(two, when(FIRST_EXCEPTION));
    log_result(tasks, second);
}

Coro<> wait_with_a_limit() {  // WAIT-05
    Tasks tasks = start({2});
    tasks.push_back(create_task(value_after(kForever, 0)));
    const auto first = co_await wait(tasks, within(15ms));
    log(places(tasks, first.done), places(tasks, first.pending), tasks[1].cancelling(), now());
    const auto second = co_await wait(tasks, within(0ms));
    log_result(tasks, second);
    tasks[1].cancel();
    const auto third = co_await wait(tasks, within(kForever));
    log_result(tasks, third);
}

Coro<> wait_for_what_is_done() {  // WAIT-11
    Tasks tasks;
    for (const int n : {0, 1}) {
        tasks.push_back(create_task(value_after(0ms, n)));
    }
    co_await tick(3);
    loop().call_soon([] { log("loop ran"); });
    const auto result = co_await wait(tasks);
    log(places(tasks, result.done), places(tasks, result.pending));
}

Coro<> wait_and_be_cancelled() {  // WAIT-10
    std::vector<Task<std::string>> tasks;
    tasks.push_back(create_task(name_after(5ms, "child")));
    const auto outer = [&]() -> Coro<> {
        try {
            co_await wait(tasks);
        } catch (const CancelledError&) {
            log("cancelled");
            throw;
        }
    };
    Task<> o = create_task(outer());
    co_await tick(2);
    o.cancel();
    const std::string text = co_await got(o);
    log(text, tasks[0].done());
    const std::string value = co_await tasks[0];
    log(value);
}

Coro<> wait_limit_and_completion_in_one_turn() {
    Tasks tasks;
    for (const int n : {0, 1}) {
        tasks.push_back(create_task(value_after(2ms, n)));
    }
    co_await tick();
    const auto result = co_await wait(tasks, within(2ms));
    log_result(tasks, result);
    co_await wait(tasks);
}

Coro<> completed_in_their_order() {  // ASCOMPLETED-01
    std::vector<Task<std::string>> tasks;
    tasks.push_back(create_task(name_after(3ms, "c")));
    tasks.push_back(create_task(name_after(1ms, "a")));
    tasks.push_back(create_task(name_after(2ms, "b")));
    auto it = as_completed(tasks);
    while (auto next = it.next()) {
        const std::string name = co_await *next;
        log(name, now());
    }
}

Coro<> completed_with_an_error() {  // ASCOMPLETED-02
    const auto bad = []() -> Coro<std::string> {
        co_await fail_after(2ms, "bad");
        co_return "";
    };
    std::vector<Task<std::string>> tasks;
    tasks.push_back(create_task(name_after(1ms, "a")));
    tasks.push_back(create_task(bad()));
    tasks.push_back(create_task(name_after(3ms, "c")));
    auto it = as_completed(tasks);
    while (auto next = it.next()) {
        const std::string text = co_await got_message(std::move(*next));
        log(text);
    }
}

Coro<> completed_within_a_limit() {  // ASCOMPLETED-03
    std::vector<Task<std::string>> tasks;
    tasks.push_back(create_task(name_after(2ms, "a")));
    tasks.push_back(create_task(name_after(60ms, "b")));
    auto it = as_completed(tasks, {.timeout = 20ms});
    while (auto next = it.next()) {
        const std::string text = co_await got(std::move(*next));
        log(text, now());
    }
    log(tasks[1].done(), tasks[1].cancelling());
    const std::string value = co_await tasks[1];
    log(value);
}

Coro<> completed_and_awaited_by_others() {  // ASCOMPLETED-09
    auto it = as_completed(start({2, 1, 3}));
    auto a = it.next();
    auto b = it.next();
    auto c = it.next();
    const auto values = co_await gather(std::move(*a), std::move(*b), std::move(*c));
    log(values);
}

Coro<> shield_passes_the_result() {  // SHIELD-01
    const std::string value = co_await shield(name_after(1ms, "value"));
    const std::string text = co_await got_message(shield(fail_after(1ms, "x")));
    log(value, text);
    Future<int> f = fut();
    f.set_result(1);
    log(shield(f) == f);  // SHIELD-04
    Task<int> t = create_task(value_after(0ms, 2));
    const Future<int> s = shield(t);
    int turns = 0;
    while (!s.done()) {
        co_await sleep(0s);
        ++turns;
    }
    log(turns, t.done());
}

Coro<> shield_keeps_a_cancellation_off() {  // SHIELD-02
    Task<std::string> t = create_task(name_after(5ms, "inner"));
    const auto outer = [&]() -> Coro<> {
        try {
            co_await shield(t);
        } catch (const CancelledError&) {
            log("outer cancelled");
            throw;
        }
    };
    Task<> o = create_task(outer());
    co_await tick(2);
    o.cancel();
    const std::string text = co_await got(o);
    log(text, t.done());
    const std::string value = co_await t;
    log(value, now());
}

Coro<> shield_of_a_cancelled_one() {  // SHIELD-03
    Task<int> t = create_task(value_after(kForever, 0));
    Future<int> s = shield(t);
    co_await tick();
    t.cancel();
    const std::string text = co_await got(s);
    log(text, s.cancelled(), t.cancelled());
}

Coro<> shield_of_a_gather() {  // SHIELD-08
    Future<int> a = fut();
    Future<int> b = fut();
    const auto p = gather(a, b).future();
    auto s = shield(p);
    co_await tick();
    s.cancel();
    co_await tick();
    a.set_result(1);
    b.set_result(2);
    co_await tick(2);
    log(s.cancelled(), p.result());
}

Coro<> shield_starts_at_the_call() {  // SHIELD-10
    auto s = shield(name_after(0ms, "inner"));
    co_await tick(2);
    log("not awaited yet", s.done());
    const std::string value = co_await s;
    log(value);
}

Coro<> shield_inner_ends_in_the_turn_of_the_cancellation() {
    Future<int> f = fut();
    const auto outer = [&]() -> Coro<int> { co_return co_await shield(f); };
    Task<int> o = create_task(outer());
    co_await tick();
    f.set_result(1);
    o.cancel();
    const std::string first = co_await got(o);
    log(first, f.result());
    f = fut();
    o = create_task(outer());
    co_await tick();
    f.set_result(2);
    co_await tick();
    o.cancel();
    const std::string second = co_await got(o);
    log(second, f.result());
}

const Family family("waiting", {
    {"wait_for_all", wait_for_all}, {"wait_for_the_first", wait_for_the_first},
    {"wait_tells_what_is_done_when_it_resumes", wait_tells_what_is_done_when_it_resumes},
    {"wait_for_the_first_error", wait_for_the_first_error}, {"wait_with_a_limit", wait_with_a_limit},
    {"wait_for_what_is_done", wait_for_what_is_done}, {"wait_and_be_cancelled", wait_and_be_cancelled},
    {"wait_limit_and_completion_in_one_turn", wait_limit_and_completion_in_one_turn},
    {"completed_in_their_order", completed_in_their_order}, {"completed_with_an_error", completed_with_an_error},
    {"completed_within_a_limit", completed_within_a_limit},
    {"completed_and_awaited_by_others", completed_and_awaited_by_others},
    {"shield_passes_the_result", shield_passes_the_result},
    {"shield_keeps_a_cancellation_off", shield_keeps_a_cancellation_off},
    {"shield_of_a_cancelled_one", shield_of_a_cancelled_one}, {"shield_of_a_gather", shield_of_a_gather},
    {"shield_starts_at_the_call", shield_starts_at_the_call},
    {"shield_inner_ends_in_the_turn_of_the_cancellation", shield_inner_ends_in_the_turn_of_the_cancellation},
});

}  // namespace
}  // namespace knit::pairs
