#include "signals.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <unistd.h>

#include "fork_child.hpp"
#include "knit/context_var.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/signal_wait.hpp"
#include "signal_arrivals.hpp"
#include "signal_claims.hpp"

namespace knit::detail {

/// One signal_wait(). What is not said to be otherwise is guarded by the mutex of Signals.
struct SignalTicket : Wait, Work {
    SignalTicket() noexcept;

    std::vector<int> signals;
    int arrived = 0;
    bool is_waiting = false;    ///< the task is suspended, and nobody is about to wake it
    bool is_cancelled = false;  ///< home loop
    TaskCore* task = nullptr;   ///< from start() on
};

namespace {

struct SignalHandler {
    Worker* worker;
    int signal;
    std::function<void()> function;
};

/// Posted by a signal handler, so there is one for good.
struct Dispatch : Work {};

/// Leaked on purpose: a handler may run late.
struct Signals {
    std::mutex mutex;
    std::vector<SignalTicket*> tickets;
    std::vector<SignalHandler> handlers;
    std::array<std::size_t, NSIG> claims{};    ///< how many of the above name the signal
    SignalArrivals arrivals;                   ///< all but post() with the mutex
    Atomic<bool> is_posted{false};             ///< the message is in an inbox [signals.posted]
    Atomic<Worker*> dispatcher{nullptr};       ///< null: nobody waits [signals.target]
    Dispatch message;
};

void dispatch(Worker& worker, Work& work) noexcept;

Signals& signals() noexcept {
    static Signals* const all = [] {
        alignas(Signals) static std::byte memory[sizeof(Signals)];  // the end of a run has none to ask for
        auto* const made = new (memory) Signals;
        made->message.run = &dispatch;
        return made;
    }();
    return *all;
}

void post_dispatch(Signals& all) noexcept {
    Worker* const worker = all.dispatcher.load(std::memory_order_acquire);  // [signals.target]
    if (worker != nullptr && !all.is_posted.exchange(true, std::memory_order_acq_rel) &&  // [signals.posted]
        !worker->post(all.message)) {
        all.is_posted.store(false, std::memory_order_release);  // [signals.posted] closed: the next dispatcher posts
    }
}

void handle_signal(int signal) {
    const int saved_errno = errno;
    if (is_fork_child()) {
        do_default_action(signal);
    } else {
        Signals& all = signals();
        all.arrivals.post(signal);
        post_dispatch(all);
    }
    errno = saved_errno;
}

/// With the mutex.
void choose_dispatcher(Signals& all) noexcept {
    Worker* worker = all.handlers.empty() ? nullptr : all.handlers.front().worker;
    for (const SignalTicket* ticket : all.tickets) {
        worker = worker == nullptr && ticket->is_waiting ? ticket->task->home() : worker;
    }
    all.dispatcher.store(worker, std::memory_order_release);  // [signals.target]
    if (!all.arrivals.is_empty()) {
        post_dispatch(all);
    }
}

void check_signal(int signal) {
    // The C library keeps what lies between for itself.
    const bool is_reserved = signal >= 32 && signal < SIGRTMIN;
    if (signal <= 0 || signal >= NSIG || is_reserved) {
        throw ValueError("invalid signal number " + std::to_string(signal));
    }
}

/// With the mutex.
void claim(Signals& all, int signal) {
    std::size_t& count = all.claims[static_cast<std::size_t>(signal)];
    if (count == 0 && !claim_signal(signal, SignalRank::user, &handle_signal)) {
        throw RuntimeError("sig " + std::to_string(signal) + " cannot be caught");
    }
    ++count;
}

/// With the mutex. True: the signal had come for the one that has gone, and does now what it does without knit.
[[nodiscard]] bool unclaim(Signals& all, int signal) noexcept {
    if (--all.claims[static_cast<std::size_t>(signal)] != 0) {
        return false;
    }
    release_signal(signal, SignalRank::user);
    return all.arrivals.remove(signal);
}

/// With the mutex. Whether a ticket took it.
bool give_to_tickets(Signals& all, int signal) noexcept {
    bool is_taken = false;
    for (SignalTicket* ticket : all.tickets) {
        const bool wants = std::ranges::find(ticket->signals, signal) != ticket->signals.end();
        if (wants && ticket->arrived == 0 && !ticket->is_cancelled) {
            is_taken = true;
            ticket->arrived = signal;
            if (std::exchange(ticket->is_waiting, false)) {
                // A loop that has a suspended task is not closed.
                const bool is_sent = ticket->task->home()->post(*ticket);
                KNIT_ASSERT(is_sent);
            }
        }
    }
    return is_taken;
}

/// There is no memory for it, or the user's function cannot be copied.
void log_loss(int signal, const std::exception& error) noexcept {
    try {
        log(LogLevel::error, "a handler of signal " + std::to_string(signal) + " was not called: " + error.what());
    } catch (const std::bad_alloc&) {
        return;  // not even for this text
    }
}

/// Whether the loop takes it.
bool call_handler(const SignalHandler& handler) noexcept {
    try {
        handler.worker->loop().call_soon_threadsafe(handler.function);
        return true;
    } catch (const RuntimeError&) {
        return false;  // the loop has closed since
    } catch (const std::exception& error) {
        log_loss(handler.signal, error);
        return true;
    }
}

bool is_claimed(Signals& all, int signal) noexcept {
    const std::lock_guard lock(all.mutex);
    return all.claims[static_cast<std::size_t>(signal)] != 0;
}

/// False: there is none.
bool dispatch_one(Signals& all, int& signal) {
    std::vector<SignalHandler> handlers;
    bool is_taken = false;
    {
        const std::lock_guard lock(all.mutex);
        signal = all.arrivals.take();
        if (signal == 0) {
            return false;
        }
        is_taken = give_to_tickets(all, signal);
        std::ranges::copy_if(all.handlers, std::back_inserter(handlers),
                             [&](const SignalHandler& each) { return each.signal == signal; });
    }
    for (const SignalHandler& handler : handlers) {
        is_taken = call_handler(handler) || is_taken;
    }
    if (!is_taken && !is_claimed(all, signal)) {
        kill(getpid(), signal);  // whoever wanted it has gone since
    }
    return true;
}

bool dispatch_next(Signals& all) noexcept {
    int signal = 0;
    try {
        return dispatch_one(all, signal);
    } catch (const std::exception& error) {
        log_loss(signal, error);
        return true;
    }
}

void dispatch(Worker&, Work&) noexcept {
    Signals& all = signals();
    all.is_posted.exchange(false, std::memory_order_acq_rel);  // [signals.posted]
    // Ends: a signal that finds is_posted cleared posts a message of its own, which is a later turn's.
    for (std::size_t most = SignalArrivals::kMost + NSIG; most > 0 && dispatch_next(all); --most) {
    }
}

bool cancel_ticket(Wait& wait) noexcept {
    auto& ticket = static_cast<SignalTicket&>(wait);
    const std::lock_guard lock(signals().mutex);
    if (ticket.arrived != 0 || ticket.is_cancelled) {
        return false;
    }
    ticket.is_waiting = false;
    ticket.is_cancelled = true;
    ticket.task->wake();
    return true;
}

}  // namespace

SignalTicket::SignalTicket() noexcept : Wait(&cancel_ticket, "signal_wait") {
    run = [](Worker&, Work& work) noexcept { static_cast<SignalTicket&>(work).task->wake(); };
}

void SignalTicketEnd::operator()(SignalTicket* ticket) const noexcept {
    Signals& all = signals();
    std::vector<int> left;
    {
        const std::lock_guard lock(all.mutex);
        std::erase(all.tickets, ticket);
        if (ticket->arrived != 0) {  // taken, and nobody has heard of it
            all.arrivals.put_back(ticket->arrived);
        }
        for (const int signal : ticket->signals) {
            if (unclaim(all, signal)) {
                left.push_back(signal);
            }
        }
        choose_dispatcher(all);
    }
    delete ticket;
    for (const int signal : left) {
        kill(getpid(), signal);
    }
}

SignalAwaiter::SignalAwaiter(std::span<const int> wanted) : ticket_(new SignalTicket) {
    std::ranges::for_each(wanted, check_signal);
    Signals& all = signals();
    const std::lock_guard lock(all.mutex);
    all.tickets.reserve(all.tickets.size() + 1);
    ticket_->signals.reserve(wanted.size());
    for (const int signal : wanted) {
        try {
            claim(all, signal);
        } catch (...) {
            for (const int claimed : ticket_->signals) {
                static_cast<void>(unclaim(all, claimed));
            }
            delete ticket_.release();
            throw;
        }
        ticket_->signals.push_back(signal);
    }
    all.tickets.push_back(ticket_.get());
}

void SignalAwaiter::start(std::coroutine_handle<> leaf, TaskCore& task) {
    SignalTicket& ticket = *ticket_;
    ticket.task = &task;
    task.suspend(leaf, &ticket);  // a cancellation that is due comes here
    Signals& all = signals();
    const std::lock_guard lock(all.mutex);
    if (ticket.arrived != 0) {
        task.wake();
    } else if (!ticket.is_cancelled) {
        ticket.is_waiting = true;
        choose_dispatcher(all);
    }
}

int SignalAwaiter::await_resume() {
    const std::unique_ptr<SignalTicket, SignalTicketEnd> ticket = std::move(ticket_);
    if (ticket->is_cancelled) {
        ticket->task->resumed();
        ticket->task->throw_cancelled();
    }
    ticket->task->resumed_keep_cancel();
    const std::lock_guard lock(signals().mutex);  // another loop may be giving out the next signal
    return std::exchange(ticket->arrived, 0);
}

void set_signal_function(Worker& worker, int signal, std::function<void()> function) {
    check_signal(signal);
    // As asyncio's handle: each call sees, and changes, one copy of the context.
    Context context = copy_context();
    std::function<void()> in_context = [context, function = std::move(function)]() mutable { context.run(function); };
    Signals& all = signals();
    const std::lock_guard lock(all.mutex);
    const auto found = std::ranges::find_if(
        all.handlers, [&](const SignalHandler& each) { return each.worker == &worker && each.signal == signal; });
    if (found != all.handlers.end()) {
        found->function = std::move(in_context);
        return;
    }
    all.handlers.reserve(all.handlers.size() + 1);
    claim(all, signal);
    all.handlers.push_back({&worker, signal, std::move(in_context)});
    choose_dispatcher(all);
}

bool remove_signal_function(Worker& worker, int signal) {
    check_signal(signal);
    Signals& all = signals();
    std::unique_lock lock(all.mutex);
    const auto found = std::ranges::find_if(
        all.handlers, [&](const SignalHandler& each) { return each.worker == &worker && each.signal == signal; });
    if (found == all.handlers.end()) {
        return false;
    }
    const SignalHandler handler = std::move(*found);  // ends without the mutex: the function is the user's
    all.handlers.erase(found);
    const bool is_left = unclaim(all, signal);
    choose_dispatcher(all);
    lock.unlock();
    if (is_left) {
        kill(getpid(), signal);
    }
    return true;
}

void leave_signals(Worker& worker) noexcept {
    Signals& all = signals();
    std::unique_lock lock(all.mutex);
    for (;;) {
        const auto found = std::ranges::find(all.handlers, &worker, &SignalHandler::worker);
        if (found == all.handlers.end()) {
            break;
        }
        std::optional<SignalHandler> ended(std::move(*found));
        all.handlers.erase(found);
        if (unclaim(all, ended->signal)) {
            kill(getpid(), ended->signal);
        }
        lock.unlock();
        ended.reset();  // without the mutex: the function is the user's
        lock.lock();
    }
    // What was abandoned: nobody wakes it any more.
    for (SignalTicket* ticket : all.tickets) {
        if (ticket->is_waiting && ticket->task->home() == &worker) {
            ticket->is_waiting = false;
            ticket->is_cancelled = true;
        }
    }
    choose_dispatcher(all);
}

}  // namespace knit::detail
