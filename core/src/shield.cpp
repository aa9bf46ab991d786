#include "knit/shield.hpp"

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <cxxabi.h>

#include "knit/detail/worker.hpp"
#include "report.hpp"

namespace knit::detail {
namespace {

/// The exception's type, without namespaces.
std::string short_type_name(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const std::type_info* const type = abi::__cxa_current_exception_type();
        if (type == nullptr) {
            return "unknown";
        }
        int status = 0;
        const std::unique_ptr<char, decltype(&std::free)> name(
            abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), &std::free);
        const std::string full = status == 0 ? name.get() : type->name();
        const std::size_t colons = full.rfind("::", full.find('<'));
        return colons == std::string::npos ? full : full.substr(colons + 2);
    }
}

}  // namespace

void ShieldBase::begin() {
    inner_->subscribe(*this, *keeper_);
    link(own_);
    add_ref();  // until the inner one is done, and there is nothing more to do
}

/// The inner future is settled: a turn passes, then this one is.
void ShieldBase::inner_settled(Waiter& waiter, FutureCore&) noexcept {
    auto& self = static_cast<ShieldBase&>(waiter);
    self.keeper_->make_ready(self.inner_hop_);
}

void ShieldBase::follow_inner(Worker& worker, Work& work) noexcept {
    ShieldBase& self = *static_cast<Hop&>(work).shield;
    if (self.own_.linked) {
        self.unlink(self.own_);  // of no interest any more
    }
    if (!worker.is_discarding() && !self.is_done()) {
        self.copy_outcome();
    }
    self.inner_ = CoreRef();
    self.drop_ref();
}

void ShieldBase::copy_outcome() noexcept {
    const SlotBase& inner = inner_->slot();
    if (inner_->is_cancelled()) {
        settle_cancelled({});
        return;
    }
    if (!claim()) {
        return;
    }
    inner_->mark_retrieved();
    slot_->error = inner.error;
    if (slot_->error == nullptr) {
        try {
            copy_(*this, *inner_);
        } catch (...) {
            slot_->error = std::current_exception();
        }
    }
    settle(slot_->error == nullptr ? State::value : State::error);
}

/// This future is settled before the inner one, by a cancellation: it looks after that from the next turn on.
void ShieldBase::own_settled(Waiter& waiter, FutureCore&) noexcept {
    ShieldBase& self = *static_cast<Own&>(waiter).shield;
    self.add_ref();
    self.keeper_->make_ready(self.own_hop_);
}

void ShieldBase::watch_inner(Worker&, Work& work) noexcept {
    ShieldBase& self = *static_cast<Hop&>(work).shield;
    if (self.inner_ && !self.inner_->is_done()) {
        self.inner_hop_.run = &ShieldBase::report_later;
        if (!self.inner_->is_task() && self.inner_->is_sole_reference()) {
            self.inner_->unsubscribe(self);  // nobody can settle it any more
            self.drop_ref();
        } else if (self.linked) {
            // Behind those who await it, as in asyncio.
            self.inner_->unlink(self);
            self.inner_->link(self);
        }
    }
    self.drop_ref();
}

/// Whoever awaits the inner future resumes in this turn; nobody is left after the next.
void ShieldBase::report_later(Worker& worker, Work& work) noexcept {
    work.run = &ShieldBase::report_inner;
    worker.make_ready(work);
}

void ShieldBase::report_inner(Worker& worker, Work& work) noexcept {
    ShieldBase& self = *static_cast<Hop&>(work).shield;
    if (!worker.is_discarding() && self.inner_->state() == State::error && !self.inner_->is_retrieved()) {
        self.inner_->mark_retrieved();
        const std::exception_ptr error = self.inner_->slot().error;
        std::string what = "shielded future";  // so short that it needs no memory
        try {
            what = short_type_name(error) + " exception in shielded future";
        } catch (const std::bad_alloc&) {
            // That is what it says then.
        }
        report(worker, std::move(what), error,
               self.inner_->is_task() ? static_cast<TaskCore*>(self.inner_.get()) : nullptr);
    }
    self.inner_ = CoreRef();
    self.drop_ref();
}

}  // namespace knit::detail
