/// TlsCore::Aside: a task of TlsCore's own is there.
#pragma once

#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/tls/detail/tls_core.hpp"

namespace knit::detail {

/// Whoever ends the stream on another loop while this lives has this loop do it. Move-only.
class TlsCore::Aside {
public:
    explicit Aside(Ref core) noexcept : core_(std::move(core)) {
        ++core_->asides_;
        // relaxed: who ends the stream has it from this loop
        core_->aside_.store(Worker::current(), std::memory_order_relaxed);
    }
    Aside(Aside&&) noexcept = default;
    Aside& operator=(Aside&&) = delete;
    ~Aside() {
        if (core_ != nullptr && --core_->asides_ == 0) {
            core_->aside_.store(nullptr, std::memory_order_release);  // [tls.aside]
        }
    }

    TlsCore& core() const noexcept { return *core_; }

private:
    Ref core_;
};

}  // namespace knit::detail
