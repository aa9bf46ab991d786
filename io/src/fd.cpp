#include "knit/io/detail/fd.hpp"

#include <unistd.h>

#include <cerrno>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

void Fd::close() noexcept {
    if (number_ >= 0) {
        // Linux gives the number back whatever close() answers, so there is nothing to be tried again; EBADF alone means
        // that somebody closed what was ours.
        const int result = ::close(release());
        KNIT_ASSERT(result == 0 || errno != EBADF);
    }
}

Descriptor::Descriptor(Fd fd) noexcept : fd_(std::move(fd)) { run = &Descriptor::run_close; }

Descriptor::~Descriptor() { KNIT_ASSERT(first_ == nullptr); }

void Descriptor::link(Op& op, Worker& worker) {
    Worker* const busy = busy_.load(std::memory_order_relaxed);  // relaxed: this loop's own, or a mistake that is refused
    if (busy == nullptr) {
        busy_.store(&worker, std::memory_order_relaxed);  // relaxed: whoever closes on another thread was told of this one
    } else if (busy != &worker) {
        throw RuntimeError("an operation is in flight on another loop: one stream or listener is used on one loop at a time");
    }
    op.previous_ = nullptr;
    op.next_ = first_;
    if (first_ != nullptr) {
        first_->previous_ = &op;
    }
    first_ = &op;
}

void Descriptor::unlink(Op& op) noexcept {
    (op.previous_ != nullptr ? op.previous_->next_ : first_) = op.next_;
    if (op.next_ != nullptr) {
        op.next_->previous_ = op.previous_;
    }
    if (first_ != nullptr) {
        return;
    }
    if (is_closing_) {
        delete this;
        return;
    }
    busy_.store(nullptr, std::memory_order_release);  // [fd.busy] the last touch: a closer may destroy it from now on
}

void Descriptor::close() noexcept {
    Worker* const busy = busy_.load(std::memory_order_acquire);  // [fd.busy]
    if (busy == nullptr) {
        delete this;
    } else if (busy == Worker::current()) {
        close_here();
    } else if (!busy->post(*this)) {
        delete this;  // that loop is closed, which it is not before its operations have ended
    }
}

void Descriptor::run_close(Worker&, Work& work) noexcept { static_cast<Descriptor&>(work).close_here(); }

void Descriptor::close_here() noexcept {
    if (first_ == nullptr) {
        delete this;
        return;
    }
    is_closing_ = true;  // unlink() of the last operation does the rest
    for (Op* op = first_; op != nullptr; op = op->next_) {
        op->stop_for_close();
    }
}

}  // namespace knit::detail
