#include "knit/io/detail/descriptor.hpp"

#include <sys/socket.h>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/io/detail/op.hpp"

namespace knit::detail {

Descriptor::Descriptor(Fd fd) noexcept : fd_(std::move(fd)) { run = &Descriptor::run_close; }

Descriptor::~Descriptor() { KNIT_ASSERT(last_ == nullptr); }

void Descriptor::throw_busy_elsewhere() {
    throw RuntimeError("an operation is in flight on another loop: a socket is used on one loop at a time");
}

/// One of several.
void Descriptor::unlink_inner(Op& op) noexcept {
    Op* before = last_;
    while (before->next_ != &op) {  // ends: it stands there
        before = before->next_;
    }
    before->next_ = op.next_;
    if (last_ == &op) {
        last_ = before;
    }
}

void Descriptor::act_when_idle() noexcept {
    if (is_closing_) {
        delete this;
        return;
    }
    became_idle();
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
    if (last_ == nullptr) {
        delete this;
        return;
    }
    is_closing_ = acts_when_idle_ = true;  // unlink() of the last operation does the rest
    stop_operations();
}

bool Descriptor::is_busy_here() const noexcept {
    // relaxed: this loop's own, or another's, of which no more is to be known
    Worker* const busy = busy_.load(std::memory_order_relaxed);
    return busy != nullptr && busy == Worker::current();
}

void Descriptor::break_connection() noexcept { break_connection_of(number()); }

void break_connection_of(int number) noexcept {
    // shutdown(2) would go on sending; this drops what is queued. The rest is as little of interest as the answer.
    const sockaddr nobody{AF_UNSPEC, {}};
    static_cast<void>(::connect(number, &nobody, sizeof nobody));
}

void Descriptor::stop_operations() noexcept {
    // relaxed: this loop's own, or another's, which alone may touch the list
    if (busy_.load(std::memory_order_relaxed) != Worker::current()) {
        return;
    }
    Op* op = last_;
    do {  // a busy descriptor has one at least
        op = op->next_;
        op->stop_for_close();
    } while (op != last_);
}

}  // namespace knit::detail
