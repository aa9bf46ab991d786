///   [dump.request]  the handler: the request, then the bell  ->  a watchdog: woken, takes the request
///   [dump.bell]     watch, unwatch: the bell  ->  the handler: rings it; it stays valid for good

#include "dump_signal.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <mutex>
#include <vector>

#include <unistd.h>

#include "fork_child.hpp"
#include "signal_claims.hpp"

namespace knit::detail {
namespace {

Atomic<bool> g_is_requested{false};   // the handler sets it, a watchdog clears it [dump.request]
Atomic<Bell*> g_bell{nullptr};        // whom the handler wakes; null: nobody [dump.bell]

struct Watched {
    int signal;
    Bell* bell;
};

/// Leaked on purpose, with its bells.
struct DumpSignals {
    std::mutex mutex;
    std::vector<Watched> watched;
    Bell* unused = nullptr;
};

DumpSignals& dump_signals() {
    static DumpSignals* const signals = new DumpSignals;
    return *signals;
}

void handle_dump_signal(int signal) {
    const int saved_errno = errno;
    if (is_fork_child()) {
        do_default_action(signal);
    }
    g_is_requested.store(true, std::memory_order_release);           // [dump.request]
    if (Bell* const bell = g_bell.load(std::memory_order_acquire)) {  // [dump.bell]
        bell->ring();
    }
    errno = saved_errno;
}

void choose_bell(const DumpSignals& signals) noexcept {
    Bell* const bell = signals.watched.empty() ? nullptr : signals.watched.front().bell;
    g_bell.store(bell, std::memory_order_release);  // [dump.bell]
    if (bell != nullptr) {
        bell->ring();  // a request may have been left with the one before
    }
}

}  // namespace

void Bell::wait(Duration limit) noexcept {
    timespec end{};
    clock_gettime(CLOCK_MONOTONIC, &end);
    const Duration whole = std::chrono::seconds(end.tv_sec) + std::chrono::nanoseconds(end.tv_nsec) + limit;
    end.tv_sec = static_cast<time_t>(std::chrono::duration_cast<std::chrono::seconds>(whole).count());
    end.tv_nsec = static_cast<long>((whole % std::chrono::seconds(1)).count());
    static_cast<void>(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &end));  // EINTR, ETIMEDOUT: looks early, no harm
}

Bell* take_bell() {
    DumpSignals& signals = dump_signals();
    const std::lock_guard lock(signals.mutex);
    if (signals.unused == nullptr) {
        return new Bell;
    }
    Bell* const bell = signals.unused;
    signals.unused = bell->next;
    return bell;
}

void give_back_bell(Bell& bell) noexcept {
    DumpSignals& signals = dump_signals();
    const std::lock_guard lock(signals.mutex);
    bell.next = signals.unused;
    signals.unused = &bell;
}

void watch_dump_signal(int signal, Bell& bell) {
    DumpSignals& signals = dump_signals();
    const std::lock_guard lock(signals.mutex);
    const bool is_first = std::ranges::find(signals.watched, signal, &Watched::signal) == signals.watched.end();
    signals.watched.push_back({signal, &bell});
    choose_bell(signals);
    if (is_first) {
        static_cast<void>(claim_signal(signal, SignalRank::dump, &handle_dump_signal));
    }
}

void unwatch_dump_signal(int signal, Bell& bell) noexcept {
    DumpSignals& signals = dump_signals();
    const std::lock_guard lock(signals.mutex);
    std::erase_if(signals.watched, [&](const Watched& each) { return each.bell == &bell; });
    choose_bell(signals);
    if (std::ranges::find(signals.watched, signal, &Watched::signal) == signals.watched.end()) {
        release_signal(signal, SignalRank::dump);
    }
}

bool take_dump_request() noexcept {
    return g_is_requested.exchange(false, std::memory_order_acq_rel);  // [dump.request]
}

void write_to_stderr(std::string_view text) noexcept {
    while (!text.empty()) {
        const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;  // nobody reads it
        }
        text.remove_prefix(static_cast<std::size_t>(written));
    }
}

}  // namespace knit::detail
