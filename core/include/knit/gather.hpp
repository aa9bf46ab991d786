/// gather(): awaits several at once; results in the order of the arguments, whichever loops they ran on.
#pragma once

#include <array>
#include <memory>
#include <new>
#include <ranges>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "knit/detail/join.hpp"
#include "knit/result.hpp"
#include "knit/task.hpp"

namespace knit {

template <class Shape>
class Gather;

namespace detail {

template <class T>
using Nv = std::conditional_t<std::is_void_v<T>, Unit, T>;

template <class A>
struct child_value {};
template <Awaitable A>
struct child_value<A> {
    using type = await_result_t<A>;
};
template <class T>
struct child_value<Coro<T>> {
    using type = T;
};
template <class T>
struct child_value<Task<T>> {
    using type = T;
};
template <class T>
struct child_value<Future<T>> {
    using type = T;
};
template <class Shape>
struct child_value<Gather<Shape>> {
    using type = typename Shape::Value;
};

}  // namespace detail

/// What gather() and its like take: a Coro, a Task, a Future, a gather, or anything else that can be awaited.
template <class A>
concept Child = requires {
    typename detail::child_value<std::remove_cvref_t<A>>::type;
};
template <Child A>
using child_t = typename detail::child_value<std::remove_cvref_t<A>>::type;

namespace detail {

/// A child as a future: what is none yet becomes a task on the current loop.
template <class A>
CoreRef into_child(A&& child) {
    using Plain = std::remove_cvref_t<A>;
    if constexpr (requires { std::forward<A>(child).future(); }) {
        return std::forward<A>(child).future().ref();
    } else if constexpr (std::is_base_of_v<Future<child_t<Plain>>, Plain>) {
        if (!child) {
            throw_empty_handle();
        }
        if constexpr (std::is_lvalue_reference_v<A>) {
            return child.ref();
        } else {
            return std::move(child).release();
        }
    } else {
        return create_task(std::forward<A>(child)).release();
    }
}

/// The result of a child: with return_exceptions its value or exception, else its value, which it has.
template <class T, bool ReturnExceptions>
decltype(auto) collect_child(FutureCore& child) {
    if constexpr (!ReturnExceptions) {
        if constexpr (std::is_void_v<T>) {
            return Unit{};
        } else if constexpr (!std::is_reference_v<T> && std::is_trivially_copyable_v<T>) {
            return T(slot_of<T>(child).value());
        } else {
            return take_result<T>(child, child.is_sole_reference());
        }
    } else {
        child.mark_retrieved();
        if (child.slot().error != nullptr) {
            return Result<T>(child.slot().error);
        }
        if constexpr (std::is_void_v<T>) {
            return Result<void>();
        } else {
            return Result<T>(take_result<T>(child, child.is_sole_reference()));
        }
    }
}

/// Children of different types, results as a tuple.
template <bool ReturnExceptions, class... T>
struct TupleShape {
    static constexpr bool kReturnExceptions = ReturnExceptions;
    using Value = std::conditional_t<ReturnExceptions, std::tuple<Result<T>...>, std::tuple<Nv<T>...>>;
    using Places = std::array<JoinPlace, (sizeof...(T) > 0 ? sizeof...(T) : 1)>;

    std::array<CoreRef, sizeof...(T)> children;

    static void reserve(Places&, std::size_t) noexcept {}
    Value collect() {
        return [&]<std::size_t... I>(std::index_sequence<I...>) {
            return Value{collect_child<T, ReturnExceptions>(*children[I])...};
        }
        (std::index_sequence_for<T...>());
    }
};

/// Children of one type, results as a vector.
template <bool ReturnExceptions, class T>
struct VectorShape {
    static_assert(!std::is_reference_v<T>, "gather() of references: return std::reference_wrapper or a pointer");
    static constexpr bool kReturnExceptions = ReturnExceptions;
    using Value = std::vector<std::conditional_t<ReturnExceptions, Result<T>, Nv<T>>>;
    using Places = std::vector<JoinPlace>;

    std::vector<CoreRef> children;

    static void reserve(Places& places, std::size_t count) { places.resize(count); }
    Value collect() {
        Value values;
        values.reserve(children.size());
        for (const CoreRef& child : children) {
            values.push_back(collect_child<T, ReturnExceptions>(*child));
        }
        return values;
    }
};

/// `co_await gather(...)`: lives in the awaiting frame. Where the gather has become a future, that is what it awaits.
template <class Shape>
class GatherAwaiter : GatherWait {
public:
    using knit_awaiter = void;
    using Value = typename Shape::Value;

    GatherAwaiter(Shape& shape, const CoreRef& future) noexcept
        : GatherWait(Shape::kReturnExceptions && !future), shape_(shape), future_(future) {}
    ~GatherAwaiter() { leave(); }

    bool await_ready() {
        if (future_) [[unlikely]] {
            Shape::reserve(places_, 1);
            start({&future_, 1}, places_.data(), running_worker(), true);
        } else if (shape_.children.empty()) {
            return true;
        } else {
            Shape::reserve(places_, shape_.children.size());
            start(shape_.children, places_.data(), running_worker());
        }
        return is_complete();
    }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) noexcept {
        task_ = &handle.promise().task();
        set_parent(*task_);
        task_->suspend(handle, this);
    }
    Value await_resume() {
        if (task_ != nullptr) {
            task_->resumed();
        }
        if (has_failed()) [[unlikely]] {
            std::rethrow_exception(error(task_ != nullptr ? task_->cancel_message() : std::string()));
        }
        if (future_) [[unlikely]] {
            return take_result<Value>(*future_, false);
        }
        return shape_.collect();
    }

private:
    Shape& shape_;
    const CoreRef& future_;
    typename Shape::Places places_;
};

/// A gather that is used as a handle: a future that its children settle. Lives until that has happened.
template <class Shape>
class GatherFuture final : public FutureState, GatherBase {
public:
    using Value = typename Shape::Value;

    GatherFuture(Worker& here, Shape shape)
        : FutureState(here, slot_),
          GatherBase(&GatherFuture::settle_outcome, Shape::kReturnExceptions),
          shape_(std::move(shape)) {
        cancel_hook = &GatherFuture::cancel_gather;
    }
    ~GatherFuture() { leave(); }
    void show_awaited(AwaitVisitor& visitor) const override {
        if (!is_complete()) {
            show_children(visitor);
        }
    }
    void begin(Worker& here) {
        Shape::reserve(places_, shape_.children.size());
        start(shape_.children, places_.data(), here);
        add_ref();  // settle_outcome() drops it
        if (shape_.children.empty() || is_complete()) {
            settle_outcome(*this);
        }
    }

private:
    static void settle_outcome(GatherBase& base) noexcept {
        auto& self = static_cast<GatherFuture&>(base);
        self.leave();  // now, on their loop: the last handle may be dropped anywhere
        if (self.claim()) {
            State state = State::value;
            try {
                self.slot_.error = self.error(self.cancel_text_);
                if (self.slot_.error == nullptr) {
                    self.slot_.emplace(self.shape_.collect());
                }
            } catch (...) {
                self.slot_.error = std::current_exception();
            }
            if (self.slot_.error != nullptr) {
                state = State::error;
            }
            self.settle(state);
        }
        self.drop_ref();
    }
    static bool cancel_gather(FutureState& future, const std::string& message) noexcept {
        auto& self = static_cast<GatherFuture&>(future);
        try {
            self.cancel_text_ = message;
        } catch (const std::bad_alloc&) {
            self.cancel_text_.clear();  // not that of another request
        }
        return self.cancel_children(message);
    }

    ResultSlot<Value> slot_;
    Shape shape_;
    typename Shape::Places places_;
    std::string cancel_text_;
};

}  // namespace detail

/// What gather() gives: its children run already. Awaited on the spot it lives in the awaiting frame and allocates
/// nothing; used in any other way it becomes a future, whose handle this is. Used on the loop that made it.
template <class Shape>
class Gather {
public:
    using Value = typename Shape::Value;

    explicit Gather(Shape&& shape) noexcept : shape_(std::move(shape)) {}
    /// Starts the children where they will stay.
    template <class... A>
    explicit Gather(std::in_place_t, A&&... children) : shape_{{detail::into_child(std::forward<A>(children))...}} {}
    Gather(Gather&&) noexcept = default;
    Gather& operator=(Gather&&) noexcept = default;

    /// Cancels every child that is not done; false when all are. The gather then ends with CancelledError, once they
    /// have.
    bool cancel(std::string message = {}) { return Future<Value>(future()).cancel(std::move(message)); }
    bool done() const { return future().done(); }
    /// Always false: a cancelled gather fails with CancelledError, as in asyncio.
    bool cancelled() const { return future().cancelled(); }
    const Value& result() const { return future().result(); }
    std::exception_ptr exception() const { return future().exception(); }
    template <class F>
    std::uint64_t add_done_callback(F function) {
        return Future<Value>(future()).add_done_callback(std::move(function));
    }
    std::size_t remove_done_callback(std::uint64_t id) { return Future<Value>(future()).remove_done_callback(id); }
    std::size_t done_callback_count() const { return future().done_callback_count(); }
    Loop& get_loop() const { return future().get_loop(); }
    friend bool operator==(const Gather& left, const Gather& right) { return left.future() == right.future(); }

    /// The gather as a future; copies share it.
    const Future<Value>& future() const {
        if (!future_) {
            detail::Worker& here = detail::running_worker();
            auto* const state = new detail::GatherFuture<Shape>(here, std::move(shape_));
            future_ = Future<Value>(detail::CoreRef(state));
            state->begin(here);
        }
        return future_;
    }
    operator Future<Value>() const { return future(); }

    detail::FutureAwaiter<Value> operator co_await() & { return {future().ref(), false}; }
    detail::GatherAwaiter<Shape> operator co_await() && { return {shape_, future_.ref()}; }

private:
    mutable Shape shape_;
    mutable Future<Value> future_{detail::CoreRef()};
};

/// Runs all concurrently: each Coro becomes a task on the current loop, tasks and futures may live on any loop of this
/// runtime. The first exception is rethrown at once, the others go on. Cancelling the awaiter cancels the children.
template <Child... A>
requires(sizeof...(A) == 0 || (!std::ranges::range<A> && ...)) auto gather(A&&... children) {
    using Shape = detail::TupleShape<false, child_t<A>...>;
    return Gather<Shape>(std::in_place, std::forward<A>(children)...);
}
/// With a Result in each place; never throws a child's exception.
template <Child... A>
requires(sizeof...(A) == 0 || (!std::ranges::range<A> && ...)) auto gather(return_exceptions_t, A&&... children) {
    using Shape = detail::TupleShape<true, child_t<A>...>;
    return Gather<Shape>(std::in_place, std::forward<A>(children)...);
}

namespace detail {

template <bool ReturnExceptions, class Range>
auto gather_range(Range&& range) {
    using Element = std::ranges::range_value_t<Range>;
    static_assert(!std::is_lvalue_reference_v<Range> || std::is_copy_constructible_v<Element>,
                  "gather() takes coroutines away from their container: write gather(std::move(coros))");
    VectorShape<ReturnExceptions, child_t<Element>> shape;
    if constexpr (std::ranges::sized_range<Range>) {
        shape.children.reserve(std::ranges::size(range));
    }
    for (auto&& child : range) {
        if constexpr (std::is_lvalue_reference_v<Range>) {
            shape.children.push_back(into_child(Element(child)));
        } else {
            shape.children.push_back(into_child(std::move(child)));
        }
    }
    return Gather<decltype(shape)>(std::move(shape));
}

template <class Range>
concept ChildRange = std::ranges::range<Range> && Child<std::ranges::range_value_t<Range>>;

}  // namespace detail

/// The same for a vector, or any other range, of one type.
template <detail::ChildRange Range>
auto gather(Range&& children) {
    return detail::gather_range<false>(std::forward<Range>(children));
}
template <detail::ChildRange Range>
auto gather(return_exceptions_t, Range&& children) {
    return detail::gather_range<true>(std::forward<Range>(children));
}

}  // namespace knit
