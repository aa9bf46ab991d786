/// For the tests of fork_join(): its children.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "co_test.hpp"

namespace knit::test::forks {

inline Coro<int> number(int value) { co_return value; }
inline Coro<int> number_after(Duration delay, int value) {
    co_await sleep(delay);
    co_return value;
}
inline Coro<> nothing() { co_return; }
inline Coro<> say(Trace& log, std::string what) {
    log(what);
    co_return;
}
inline Coro<> fail(std::string what) {
    throw Err(what);
    co_return;
}
inline Coro<> fail_after(Duration delay, std::string what) {
    co_await sleep(delay);
    throw Err(what);
}
/// Logs its name when it is cancelled, after `cleanup`.
inline Coro<> leaf(Trace& log, std::string name, Duration cleanup = 0s) {
    bool is_cancelled = false;
    try {
        co_await sleep(kForever);
    } catch (const CancelledError&) {
        is_cancelled = true;
    }
    if (is_cancelled && cleanup > 0s) {
        co_await sleep(cleanup);
    }
    log(name);
    throw CancelledError();
}
inline Coro<> leaf_forever() { co_await sleep(kForever); }
inline Coro<> move_on() { co_await reschedule(); }
inline Coro<long> fib(unsigned n) {
    if (n < 2) {
        co_return n;
    }
    const auto both = co_await fork_join(fib(n - 1), fib(n - 2));
    co_return std::get<0>(both) + std::get<1>(both);
}

/// A fork_join() as a coroutine, for create_task() and got().
template <class... T>
Coro<> fork_join_of(Coro<T>... children) {
    co_await fork_join(std::move(children)...);
}
template <class T>
Coro<> fork_join_of(std::vector<Coro<T>> children) {
    co_await fork_join(std::move(children));
}
inline Coro<> failing_tree(int depth) {
    if (depth == 0) {
        throw Err("bottom");
    }
    co_await fork_join(failing_tree(depth - 1), number_after(1ms, 1), leaf_forever());
}
inline Coro<int> tree_of(int depth) {
    if (depth == 0) {
        co_return 1;
    }
    const auto both = co_await fork_join(tree_of(depth - 1), tree_of(depth - 1));
    co_return std::get<0>(both) + std::get<1>(both);
}

}  // namespace knit::test::forks
