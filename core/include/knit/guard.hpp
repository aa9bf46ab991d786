/// Guard: releases a Lock, a Condition's lock or a Semaphore at the end of its scope.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include "knit/detail/sync.hpp"
#include "knit/error.hpp"

namespace knit {

/// What `co_await lock.scoped()` gives. Move-only. The destructor releases, never waits, and may run on any loop; if
/// the lock has been released behind its back, the loop's exception handler gets the RuntimeError.
class Guard {
public:
    /// Holds nothing.
    Guard() noexcept = default;
    /// Takes over what the caller has acquired.
    template <class Primitive>
    requires(!std::is_same_v<std::remove_const_t<Primitive>, Guard>)
    explicit Guard(Primitive& primitive) noexcept
        : primitive_(&primitive), release_([](void* held) { static_cast<Primitive*>(held)->release(); }) {}
    Guard(Guard&& other) noexcept
        : primitive_(std::exchange(other.primitive_, nullptr)), release_(other.release_) {}
    Guard& operator=(Guard&& other) noexcept {
        if (this != &other) {
            drop();
            primitive_ = std::exchange(other.primitive_, nullptr);
            release_ = other.release_;
        }
        return *this;
    }
    ~Guard() { drop(); }

    /// Releases early. RuntimeError when there is nothing to release: released already, or moved from.
    void release() {
        if (primitive_ == nullptr) {
            throw RuntimeError("Lock is not acquired. This guard holds nothing: it was released or moved from");
        }
        release_(std::exchange(primitive_, nullptr));
    }
    /// Whether it will release something.
    explicit operator bool() const noexcept { return primitive_ != nullptr; }

private:
    void drop() noexcept {
        if (primitive_ != nullptr) {
            try {
                release_(std::exchange(primitive_, nullptr));
            } catch (...) {
                detail::report_failed_release(std::current_exception());
            }
        }
    }

    void* primitive_ = nullptr;
    void (*release_)(void*) = nullptr;
};

namespace detail {

/// Acquires as `Awaiter` does, and gives a Guard.
template <class Awaiter>
class ScopedAwaiter : Awaiter {
public:
    using knit_awaiter = void;
    using Awaiter::Awaiter;
    using Awaiter::await_ready;
    using Awaiter::await_suspend;

    Guard await_resume() {
        Awaiter::await_resume();
        return Guard(Awaiter::primitive());
    }
};

}  // namespace detail
}  // namespace knit
