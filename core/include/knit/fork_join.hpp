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
    TaskCore& task = handle.promise().make_task(worker, handle, worker.next_task_id(), nullptr, node.fork->where());
    ForkBase::adopt(node, task, worker);
}

/// The value of a child that has one.
template <class T>
std::conditional_t<std::is_void_v<T>, Unit, T> take_forked(void* child) {
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return static_cast<T&&>(PromiseOf<T>::slot_of(child).value());
    }
}

/// What `co_await fork_join(...)` awaits: children of several types, results as a tuple.
template <class... T>
class ForkJoin : ForkBase {
    static constexpr std::size_t kOffered = sizeof...(T) - 1;
    using Children = std::tuple<T...>;
    /// The child of node I: the last child's is the first.
    template <std::size_t I>
    using Child = std::tuple_element_t<kOffered - I, Children>;

public:
    using knit_awaiter = void;
    using Value = std::tuple<std::conditional_t<std::is_void_v<T>, Unit, T>...>;

    template <std::size_t... I>
    ForkJoin(std::index_sequence<I...>, std::tuple<Coro<T>&...> children) noexcept
        : ForkBase(nodes_, sizeof...(T), std::get<0>(children).take().address()),
          nodes_{ForkNode(&make_forked_task<Child<I>>, std::get<kOffered - I>(children).take().address(), *this)...} {}
    ~ForkJoin() {
        if (!is_begun()) [[unlikely]] {
            warn_unawaited();
        }
        release(std::index_sequence_for<T...>());
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
    template <std::size_t I>
    void* child() const noexcept {
        if constexpr (I == 0) {
            return first();
        } else {
            return nodes_[kOffered - I].child;
        }
    }
    template <std::size_t... I>
    Value collect(std::index_sequence<I...>) {
        return Value{take_forked<T>(child<I>())...};
    }
    template <std::size_t... I>
    void release(std::index_sequence<I...>) noexcept {
        (PromiseOf<T>::release_forked(child<I>()), ...);
    }

    ForkNode nodes_[kOffered];
};

/// Of one child there is nothing to offer.
template <class T>
class ForkJoin<T> : ForkBase {
public:
    using knit_awaiter = void;
    using Value = std::tuple<std::conditional_t<std::is_void_v<T>, Unit, T>>;

    ForkJoin(std::index_sequence<>, std::tuple<Coro<T>&> children) noexcept
        : ForkBase(nullptr, 1, std::get<0>(children).take().address()) {}
    ~ForkJoin() {
        if (!is_begun()) [[unlikely]] {
            warn_unawaited();
        }
        PromiseOf<T>::release_forked(first());
    }

    bool await_ready() const noexcept { return false; }
    template <KnitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) {
        return begin(handle.promise().task(), handle, 1);
    }
    Value await_resume() {
        end();
        return Value{take_forked<T>(first())};
    }
};

/// The same for children of one type, results as a vector.
template <class T>
class ForkJoinVector : ForkBase {
public:
    static_assert(!std::is_reference_v<T>, "fork_join() of references: return std::reference_wrapper or a pointer");
    using knit_awaiter = void;
    using Value = std::vector<std::conditional_t<std::is_void_v<T>, Unit, T>>;

    explicit ForkJoinVector(std::vector<Coro<T>>& children) : ForkJoinVector(children, make_nodes(children.size())) {}
    ~ForkJoinVector() {
        if (!is_begun() && size_ != 0) [[unlikely]] {
            warn_unawaited();
        }
        for (std::uint32_t index = 0; index < size_; ++index) {
            PromiseOf<T>::release_forked(child(index));
        }
        if (nodes() != nullptr) {
            free_frame(nodes(), bytes_of(size_));
        }
    }

    bool await_ready() const noexcept { return size_ == 0; }
    template <KnitPromise P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> handle) {
        return begin(handle.promise().task(), handle, size_);
    }
    Value await_resume() {
        end();
        Value values;
        values.reserve(size_);
        for (std::uint32_t index = 0; index < size_; ++index) {
            values.push_back(take_forked<T>(child(index)));
        }
        return values;
    }

private:
    static constexpr std::size_t bytes_of(std::size_t count) noexcept { return (count - 1) * sizeof(ForkNode); }
    /// Nothing is taken from the children before there is memory for the nodes.
    ForkJoinVector(std::vector<Coro<T>>& children, ForkNode* nodes) noexcept
        : ForkBase(nodes, static_cast<std::uint32_t>(children.size()),
                   children.empty() ? nullptr : children.front().take().address()),
          size_(static_cast<std::uint32_t>(children.size())) {
        for (std::uint32_t index = 1; index < size_; ++index) {
            ::new (&nodes[size_ - 1 - index]) ForkNode(&make_forked_task<T>, children[index].take().address(), *this);
        }
    }
    static ForkNode* make_nodes(std::size_t count) {
        return count < 2 ? nullptr : static_cast<ForkNode*>(allocate_frame(bytes_of(count)));
    }
    void* child(std::uint32_t index) const noexcept {
        return index == 0 ? first() : nodes()[size_ - 1 - index].child;
    }

    const std::uint32_t size_;
};

}  // namespace detail

/// Runs the coroutines and awaits them all: `auto both = co_await fork_join(left(), right());` gives a std::tuple of
/// their results, with Unit for void.
/// All but the first are offered to every loop, as by spawn(), and the first runs at once, inline. Then those that no
/// loop has taken run inline too, in their order; loops take the last one first. What runs inline is part of the
/// awaiting task: current_task() is that, its context variables are that task's. A child that a loop takes, this one
/// included while an inline child is suspended, becomes a task of that loop, with a copy of the context.
/// The awaiting coroutine goes on, on its loop, when all children have ended. If one fails, children that nobody has
/// begun are dropped, those that are tasks are cancelled, one that is suspended inline is awaited; then the error that
/// came first is rethrown.
/// Between children the loop looks at its ring at least as often as between tasks (KNIT_BUDGET).
/// Awaited on the spot: what it gives can be neither moved nor kept. On a loop's thread.
/// Cancelled: the inline child that is suspended sees it; else the children that are tasks are cancelled and awaited,
/// and CancelledError follows. Children that nobody has begun never run, and results that were there are lost.
/// ValueError for a Coro that is empty or was awaited.
template <class... T>
requires(sizeof...(T) > 0) [[nodiscard]] KNIT_INLINE detail::ForkJoin<T...> fork_join(Coro<T>&&... children) {
    (children.expect_valid(), ...);
    return detail::ForkJoin<T...>(std::make_index_sequence<sizeof...(T) - 1>(), std::tie(children...));
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
