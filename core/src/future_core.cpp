#include "knit/detail/future_core.hpp"

#include <exception>
#include <new>

#include "knit/detail/task_core.hpp"
#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "report.hpp"

namespace knit::detail {

/// A subscription from another loop: travels to the keeper, waits there in the list, comes back when it is settled.
/// When the waiter goes before that, a second message follows, the recall, and takes it out of the list: a future that
/// is settled late, or never, does not gather what nobody waits for. The recall meets it
///   in the list                           it ends there
///   on its way back, or back already      who comes second ends it
/// Never before its arrival: both take the same way, one behind the other.
///
///   [relay.refs]  drop: acq_rel     all use of a relay happens before its end
class Relay : Work {
public:
    Relay(FutureCore& future, Waiter& waiter, Worker& here) noexcept
        : future_(future), waiter_(&waiter), here_(here), entry_(&Relay::settled, *this) {
        future_.add_ref();
        run = &Relay::arrive;
    }

    void start() noexcept {
        if (!future_.keeper().post(*this)) {
            come_back();  // the keeper has closed, so the future is settled for good
        }
    }
    /// The waiter has gone. Subscriber's loop, once.
    void abandon() noexcept {
        waiter_ = nullptr;
        refs_.fetch_add(1, std::memory_order_relaxed);  // relaxed: there is another one
        recall_.relay = this;
        recall_.run = &Relay::recall;
        if (!future_.keeper().post(recall_)) {
            drop();  // the keeper has closed, and its list is of no interest any more
        }
    }

private:
    struct Entry : Waiter {
        Entry(Notify on_settled, Relay& owner) noexcept : Waiter(on_settled), relay_of(owner) {}
        Relay& relay_of;
    };
    struct Recall : Work {
        Relay* relay = nullptr;
    };

    static void arrive(Worker&, Work& work) noexcept {
        auto& self = static_cast<Relay&>(work);
        if (self.future_.is_done()) {
            self.come_back();
        } else {
            self.future_.link(self.entry_);
        }
    }
    static void settled(Waiter& waiter, FutureCore&) noexcept { static_cast<Entry&>(waiter).relay_of.come_back(); }
    /// Keeper's thread.
    static void recall(Worker&, Work& work) noexcept {
        Relay& self = *static_cast<Recall&>(work).relay;
        if (self.entry_.linked) {
            self.future_.unlink(self.entry_);
            self.drop();  // it does not come back
        }
        self.drop();
    }

    void come_back() noexcept {
        run = &Relay::deliver;
        if (!here_.post(*this)) {
            drop();  // the subscriber's loop has closed: nobody waits any more
        }
    }
    static void deliver(Worker&, Work& work) noexcept {
        auto& self = static_cast<Relay&>(work);
        if (self.waiter_ != nullptr) {
            self.waiter_->relay = nullptr;
            self.waiter_->notify(*self.waiter_, self.future_);
        }
        self.drop();
    }
    void drop() noexcept {
        if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {  // [relay.refs]
            future_.drop_ref();
            delete this;
        }
    }

    FutureCore& future_;
    Waiter* waiter_;
    Worker& here_;
    Entry entry_;
    Recall recall_;
    Atomic<std::uint32_t> refs_{1};  ///< its own way, and that of the recall; both loops [relay.refs]
};

void FutureCore::subscribe_by_relay(Waiter& waiter, Worker& here) {
    auto* const relay = new Relay(*this, waiter, here);
    waiter.relay = relay;
    relay->start();
}

void FutureCore::unsubscribe(Waiter& waiter) noexcept {
    if (waiter.relay != nullptr) {
        waiter.relay->abandon();
        waiter.relay = nullptr;
    } else if (waiter.linked) {
        unlink(waiter);
    }
}

std::size_t FutureCore::waiter_count() const noexcept {
    std::size_t count = 0;
    for (const Waiter* waiter = first_; waiter != nullptr; waiter = waiter->next) {
        ++count;
    }
    return count;
}

void FutureCore::destroy_slow() noexcept {
    if (state() == State::error && !retrieved_.load(std::memory_order_relaxed)) {  // relaxed: ordered by [fut.refs]
        refs_.store(1, std::memory_order_relaxed);  // relaxed: nobody else has a reference; the report hands some out
        mark_retrieved();
        report_unretrieved(*this);
        return;
    }
    if (is_task()) {
        static_cast<TaskCore*>(this)->destroy_block();
    } else {
        delete static_cast<FutureState*>(this);
    }
}

void FutureState::settle(State state) noexcept {
    Worker* const here = Worker::current();
    if (here == keeper_) {
        state_.store(state, std::memory_order_release);  // [fut.state]
        notify_waiters();
        return;
    }
    add_ref();  // for the message, before anybody can see the future settled and drop it
    message_.run = &FutureState::run_settled;
    message_.future = this;
    state_.store(state, std::memory_order_release);  // [fut.state]
    if (!keeper_->post(message_)) {
        drop_ref();  // the keeper has closed, so nobody waits there
    }
}

void FutureState::run_settled(Worker&, Work& work) noexcept {
    FutureState& future = *static_cast<SettledMessage&>(work).future;
    future.notify_waiters();
    future.drop_ref();
}

std::exception_ptr make_cancelled(const std::string& message) noexcept {
    if (message.empty()) {
        return std::make_exception_ptr(CancelledError());
    }
    try {
        throw CancelledError(message);  // make_exception_ptr() copies it once more, and hides that this failed
    } catch (const CancelledError&) {
        return std::current_exception();
    } catch (const std::bad_alloc&) {
        return std::make_exception_ptr(CancelledError());  // the message is lost, and not the request
    }
}

bool FutureState::settle_cancelled(const std::string& message) noexcept {
    if (!claim()) {
        return false;
    }
    slot_->error = make_cancelled(message);
    settle(State::cancelled);
    return true;
}

}  // namespace knit::detail
