/// fork_join(): runs several coroutines, on other loops too where these are free, and awaits them all. No child becomes
/// a task unless another loop takes it, so a child costs little more than a coroutine awaited inline.
#pragma once

#include <coroutine>
#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/detail/fork.hpp"
#include "knit/result.hpp"

namespace knit {
namespace detail {

template <class T>
void make_forked_task(Worker& worker, Work& work) noexcept {
    auto& node = static_cast<ForkNode&>(work);
    const auto handle = std::coroutine_handle<Promise<T>>::from_address(node.child);
    TaskCore& task = handle.promise().make_task(worker, handle, worker.next_task_id(), node.fork->where());
    ForkBase::adopt(node, task, worker);
}

/// The result of the child in `node`. The first of all children may have failed without ForkBase::end() knowing: it
/// runs last, and where it runs inline it goes straight on with the parent.
template <class T>
std::conditional_t<std::is_void_v<T>, Unit, T> take_forked(const ForkNode& node, bool is_first) {
    ResultSlot<T>& slot = PromiseOf<T>::slot_of(node.child);
    if constexpr (std::is_void_v<T>) {
        if (is_first) {
            slot.take();
        }
        return {};
    } else if (is_first) {
        return slot.take();
    } else {
        return static_cast<T&&>(slot.value());
    }
}

/// What `co_await fork_join(...)` awaits: children of several types, results as a tuple.
template <class... T>
class ForkJoin : ForkBase {
public:
    using knit_awaiter = void;
    using Value = std::tuple<std::conditional_t<std::is_void_v<T>, Unit, T>...>;

    explicit ForkJoin(Coro<T>&... children) noexcept
        : ForkBase(nodes_, sizeof...(T)),
          nodes_{ForkNode(&make_forked_task<T>, children.take().address(), *this)...} {}
    ~ForkJoin() {
        if (!is_begun()) [[unlikely]] {
            warn_unawaited();
        }
        for (ForkNode& node : nodes_) {
            release(node);
        }
    }

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) {
        return begin(handle.promise().task(), handle, sizeof...(T));
    }
    Value await_resume() {
        end();
        return collect(std::index_sequence_for<T...>());
    }

private:
    template <std::size_t... I>
    Value collect(std::index_sequence<I...>) {
        return Value{take_forked<T>(nodes_[I], I == 0)...};
    }

    ForkNode nodes_[sizeof...(T)];
};

/// The same for children of one type, results as a vector.
template <class T>
class ForkJoinVector : ForkBase {
public:
    static_assert(!std::is_reference_v<T>, "fork_join() of references: return std::reference_wrapper or a pointer");
    using knit_awaiter = void;
    using Value = std::vector<std::conditional_t<std::is_void_v<T>, Unit, T>>;

    explicit ForkJoinVector(std::vector<Coro<T>>& children)
        : ForkBase(static_cast<ForkNode*>(children.empty() ? nullptr : allocate_frame(bytes_of(children.size()))),
                   children.size()) {
        for (std::size_t index = 0; index < children.size(); ++index) {
            ::new (&nodes()[index]) ForkNode(&make_forked_task<T>, children[index].take().address(), *this);
        }
    }
    ~ForkJoinVector() {
        if (!is_begun()) [[unlikely]] {
            warn_unawaited();
        }
        for (std::size_t index = 0; index < count(); ++index) {
            release(nodes()[index]);
        }
        if (count() != 0) {
            free_frame(nodes(), bytes_of(count()));
        }
    }

    bool await_ready() const noexcept { return count() == 0; }
    template <KnitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) {
        return begin(handle.promise().task(), handle, count());
    }
    Value await_resume() {
        end();
        Value values;
        values.reserve(count());
        for (std::size_t index = 0; index < count(); ++index) {
            values.push_back(take_forked<T>(nodes()[index], index == 0));
        }
        return values;
    }

private:
    static constexpr std::size_t bytes_of(std::size_t count) noexcept { return count * sizeof(ForkNode); }
};

}  // namespace detail

/// Runs the coroutines and awaits them all: `auto both = co_await fork_join(left(), right());` gives a std::tuple of
/// their results, with Unit for void.
/// All but the last are offered to every loop, as by spawn(), and the last runs at once, inline. Then those that no
/// loop has taken run inline too, the newest first. What runs inline is part of the awaiting task: current_task() is
/// that, its context variables are that task's. A child that a loop takes, this one included while an inline child is
/// suspended, becomes a task of that loop, with a copy of the context.
/// The awaiting coroutine goes on, on its loop, when all children have ended. If one fails, children that nobody has
/// begun are dropped, those that are tasks are cancelled, one that is suspended inline is awaited; then the error that
/// came first is rethrown.
/// Between children the loop looks at its ring as often as between tasks (KNIT_BUDGET).
/// Awaited on the spot: what it gives can be neither moved nor kept. On a loop's thread.
/// Cancelled: the inline child that is suspended sees it; else the children that are tasks are cancelled and awaited,
/// and CancelledError follows. Children that nobody has begun never run, and results that were there are lost.
/// ValueError for a Coro that is empty or was awaited.
template <class... T>
requires(sizeof...(T) > 0) [[nodiscard]] detail::ForkJoin<T...> fork_join(Coro<T>&&... children) {
    (children.expect_valid(), ...);
    return detail::ForkJoin<T...>(children...);
}

/// The same for any number of one type, results as a std::vector.
template <class T>
[[nodiscard]] detail::ForkJoinVector<T> fork_join(std::vector<Coro<T>>&& children) {
    for (const Coro<T>& child : children) {
        child.expect_valid();
    }
    return detail::ForkJoinVector<T>(children);
}

}  // namespace knit
