/// shield(): awaits something without passing cancellation on to it.
#pragma once

#include <cstddef>
#include <exception>
#include <utility>

#include "knit/detail/core_ref.hpp"
#include "knit/detail/future_core.hpp"
#include "knit/detail/work.hpp"
#include "knit/future.hpp"
#include "knit/gather.hpp"

namespace knit {
namespace detail {

/// The part of a shield's outer future that does not depend on its type. It keeps itself until the inner one is done:
/// then its turn comes, as in asyncio, and a turn later the awaiter's.
class ShieldBase : public FutureState, Waiter {
public:
    /// Subscribes to the inner future. Thread of the keeper. Throws std::bad_alloc with nothing done.
    void begin();
    void show_awaited(AwaitVisitor& visitor) const override {
        if (!inner_->is_done()) {
            visitor.visit(*inner_, static_cast<const Waiter*>(this));
        }
    }

protected:
    /// Puts the inner future's value into the slot.
    using CopyValue = void (*)(ShieldBase&, FutureCore& inner);

    ShieldBase(Worker& keeper, SlotBase& slot, CoreRef inner, CopyValue copy) noexcept
        : FutureState(keeper, slot), Waiter(&ShieldBase::inner_settled), inner_(std::move(inner)), copy_(copy) {
        own_.shield = inner_hop_.shield = own_hop_.shield = this;
        inner_hop_.run = &ShieldBase::follow_inner;
        own_hop_.run = &ShieldBase::watch_inner;
    }

private:
    struct Hop : Work {
        ShieldBase* shield = nullptr;
    };
    /// Listens to this future itself.
    struct Own : Waiter {
        Own() noexcept : Waiter(&ShieldBase::own_settled) {}
        ShieldBase* shield = nullptr;
    };

    static void inner_settled(Waiter& waiter, FutureCore& inner) noexcept;
    static void own_settled(Waiter& waiter, FutureCore& own) noexcept;
    static void follow_inner(Worker& worker, Work& work) noexcept;
    static void watch_inner(Worker& worker, Work& work) noexcept;
    static void report_later(Worker& worker, Work& work) noexcept;
    static void report_inner(Worker& worker, Work& work) noexcept;
    void copy_outcome() noexcept;

    CoreRef inner_;
    CopyValue copy_;
    Own own_;
    Hop inner_hop_;
    Hop own_hop_;
};

template <class T>
class ShieldState final : public ShieldBase {
public:
    ShieldState(Worker& keeper, CoreRef inner) noexcept
        : ShieldBase(keeper, slot_, std::move(inner), &ShieldState::copy_value) {}
    static void* operator new(std::size_t size) { return allocate_frame(size); }
    static void operator delete(void* memory, std::size_t size) noexcept { free_frame(memory, size); }

private:
    static void copy_value(ShieldBase& base, FutureCore& inner) {
        auto& self = static_cast<ShieldState&>(base);
        if constexpr (std::is_void_v<T>) {
            take_result<T>(inner, false);
            self.slot_.emplace();
        } else {
            self.slot_.emplace(take_result<T>(inner, inner.is_sole_reference()));
        }
    }

    ResultSlot<T> slot_;
};

}  // namespace detail

/// A future that ends as `inner` does; a coroutine or other awaitable becomes a task on the current loop at once, what
/// is done already is given back itself. `inner` may live on any loop. RuntimeError "no running event loop".
/// Cancelled, or its awaiter: the shield alone is, `inner` goes on; what it then fails with is reported to the loop's
/// exception handler, "<type> exception in shielded future", unless somebody else takes it; had it failed already,
/// without the shield knowing, as an exception that was never retrieved. When `inner` is cancelled, so is the shield.
template <Child A>
Future<child_t<A>> shield(A&& inner) {
    using T = child_t<A>;
    detail::Worker& here = detail::running_worker();
    detail::CoreRef child = detail::into_child(std::forward<A>(inner));
    if (child->is_done()) {
        return Future<T>(std::move(child));
    }
    detail::check_same_runtime(*child, here);
    auto* const state = new detail::ShieldState<T>(here, std::move(child));
    Future<T> outer{detail::CoreRef(state)};
    state->begin();
    return outer;
}

}  // namespace knit
