// ContextVar and Context: who sees which value.

#include "program.hpp"

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

Coro<> a_task_has_a_copy() {  // CONTEXT-01
    ContextVar<std::string> cv("cv", "nope");
    const auto sub = [&]() -> Coro<std::string> {
        co_await tick();
        const std::string value = cv.get();
        cv.set("inside");
        co_return value;
    };
    Task<std::string> t = create_task(sub());
    cv.set("yes");
    const std::string value = co_await t;
    log(value, cv.get());
}

Coro<> an_inline_coroutine_shares_it() {  // CONTEXT-02
    ContextVar<int> cv("cv", 0);
    const auto sub = [&]() -> Coro<> {
        cv.set(1);
        co_await tick();
        cv.set(cv.get() + 1);
    };
    co_await sub();
    log(cv.get());
}

Coro<> interleaved_tasks() {  // CONTEXT-03
    ContextVar<int> cv("cv", -1);
    const auto sub = [&](int i) -> Coro<> {
        for (int k = 0; k < 4; ++k) {
            cv.set(i * 10 + k);
            co_await sleep(milliseconds(i % 2));
            log(i, cv.get());
        }
    };
    co_await gather(sub(0), sub(1), sub(2), sub(3));
    log(cv.get());
}

Coro<> callbacks_run_in_the_context_of_their_scheduling() {  // CALL-16, CONTEXT-09
    ContextVar<int> cv("cv", 0);
    Future<int> f = fut();
    cv.set(1);
    loop().call_soon([&] {
        log("soon", cv.get());
        cv.set(99);
    });
    loop().call_later(1ms, [&] { log("later", cv.get()); });
    f.add_done_callback([&] { log("done", cv.get()); });
    cv.set(2);
    loop().call_soon([&] { log("soon", cv.get()); });
    cv.set(3);
    f.set_result(1);
    co_await sleep(2ms);
    log(cv.get());
}

Coro<> children_of_a_gather_and_a_group() {  // CONTEXT-06
    ContextVar<int> cv("cv", 0);
    cv.set(1);
    const auto f = [&](int v) -> Coro<> {
        const int before = cv.get();
        cv.set(v);
        co_await tick();
        log(before, cv.get());
    };
    co_await gather(f(10), f(20));
    const auto body = [&](TaskGroup& tg) -> Coro<> {
        cv.set(2);
        tg.create_task(f(30));
        co_return;
    };
    co_await TaskGroup::run(body);
    log(cv.get());
}

Coro<> reset_by_a_token() {  // CONTEXT-08
    ContextVar<std::string> cv("cv", "d");
    const auto token = cv.set("x");
    co_await tick();
    cv.reset(token);
    log(cv.get());
    const auto other_token = cv.set("y");
    const auto other = [&]() -> Coro<std::string> { co_return call([&] { cv.reset(other_token); }); };
    const std::string text = co_await create_task(other());
    log(text, cv.get());
}

Coro<> without_a_value() {  // CONTEXT-05
    ContextVar<std::string> cv("cv");
    log(call([&] { return cv.get(); }), cv.get("fallback"));
    cv.set("value");
    log(cv.get(), cv.get("fallback"));
    co_return;
}

Coro<> run_in_a_copy() {
    ContextVar<int> cv("cv", 0);
    cv.set(1);
    Context context = copy_context();
    cv.set(2);
    log(context.run([&] { return cv.get(); }), cv.get());
    context.run([&] { cv.set(7); });
    log(context.get(cv), context.run([&] { return cv.get(); }), cv.get());
    co_return;
}

Coro<> in_a_deadline() {  // WAITFOR-12
    ContextVar<int> cv("cv", 0);
    const auto f = [&]() -> Coro<> {
        cv.set(1);
        co_await tick();
    };
    co_await wait_for(f(), 10ms);
    log(cv.get());
    co_await wait_for(create_task(f()), 10ms);
    cv.set(5);
    co_await shield(f());
    log(cv.get());
}

Coro<> the_exception_handler_sees_it() {  // CONTEXT-10
    ContextVar<std::string> cv("cv", "default");
    loop().set_exception_handler([&](const ExceptionContext&) { log("handler:", cv.get()); });
    const auto bad = [&] {
        cv.set("in callback");
        throw Err();
    };
    loop().call_soon(bad);
    co_await tick(2);
    log(cv.get());
}

const Family family("contexts", {
    {"a_task_has_a_copy", a_task_has_a_copy}, {"an_inline_coroutine_shares_it", an_inline_coroutine_shares_it},
    {"interleaved_tasks", interleaved_tasks},
    {"callbacks_run_in_the_context_of_their_scheduling", callbacks_run_in_the_context_of_their_scheduling},
    {"children_of_a_gather_and_a_group", children_of_a_gather_and_a_group}, {"reset_by_a_token", reset_by_a_token},
    {"without_a_value", without_a_value}, {"run_in_a_copy", run_in_a_copy}, {"in_a_deadline", in_a_deadline},
    {"the_exception_handler_sees_it", the_exception_handler_sees_it},
});

}  // namespace
}  // namespace knit::pairs
