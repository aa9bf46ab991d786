/// CoreRef: a counted reference to a task or future.
#pragma once

#include <utility>

#include "knit/detail/future_core.hpp"

namespace knit::detail {

/// A counted reference to a task or future without its type.
class CoreRef {
public:
    CoreRef() noexcept = default;
    /// Takes over one reference.
    explicit CoreRef(FutureCore* core) noexcept : core_(core) {}
    CoreRef(const CoreRef& other) noexcept : core_(other.core_) {
        if (core_ != nullptr) {
            core_->add_ref();
        }
    }
    CoreRef(CoreRef&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
    CoreRef& operator=(CoreRef other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~CoreRef() {
        if (core_ != nullptr) {
            core_->drop_ref();
        }
    }
    FutureCore* get() const noexcept { return core_; }
    FutureCore& operator*() const noexcept { return *core_; }
    FutureCore* operator->() const noexcept { return core_; }
    explicit operator bool() const noexcept { return core_ != nullptr; }

private:
    FutureCore* core_ = nullptr;
};

}  // namespace knit::detail
