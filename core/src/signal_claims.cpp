#include "signal_claims.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <mutex>

namespace knit::detail {
namespace {

constexpr std::size_t kSignals = NSIG;

struct Claimed {
    std::array<SignalFunction, static_cast<std::size_t>(SignalRank::count)> functions{};
    struct sigaction before {};

    /// The highest; null: none.
    SignalFunction top() const noexcept {
        const auto highest =
            std::find_if(functions.rbegin(), functions.rend(), [](SignalFunction each) { return each != nullptr; });
        return highest == functions.rend() ? nullptr : *highest;
    }
};

/// Leaked on purpose: a static object may still release a claim.
struct Claims {
    std::mutex mutex;
    std::array<Claimed, kSignals> signals{};
};

Claims& claims() {
    static Claims* const all = new Claims;
    return *all;
}

bool is_number(int signal) noexcept { return signal > 0 && static_cast<std::size_t>(signal) < kSignals; }

bool install(int signal, SignalFunction function) noexcept {
    struct sigaction action {};
    action.sa_handler = function;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return sigaction(signal, &action, nullptr) == 0;
}

}  // namespace

bool claim_signal(int signal, SignalRank rank, SignalFunction function) noexcept {
    if (!is_number(signal)) {
        return false;
    }
    const std::lock_guard lock(claims().mutex);
    Claimed& claimed = claims().signals[static_cast<std::size_t>(signal)];
    const bool is_first = claimed.top() == nullptr;
    if (is_first && sigaction(signal, nullptr, &claimed.before) != 0) {
        return false;
    }
    SignalFunction& own = claimed.functions[static_cast<std::size_t>(rank)];
    own = function;
    if (claimed.top() == function && !install(signal, function)) {
        own = nullptr;
        return false;
    }
    return true;
}

void release_signal(int signal, SignalRank rank) noexcept {
    if (!is_number(signal)) {
        return;
    }
    const std::lock_guard lock(claims().mutex);
    Claimed& claimed = claims().signals[static_cast<std::size_t>(signal)];
    SignalFunction& own = claimed.functions[static_cast<std::size_t>(rank)];
    if (own == nullptr) {
        return;
    }
    const SignalFunction before = claimed.top();
    own = nullptr;
    const SignalFunction now = claimed.top();
    struct sigaction current {};
    if (now == before || sigaction(signal, nullptr, &current) != 0 || current.sa_handler != before) {
        return;  // another has it still, or the program has set an action of its own meanwhile
    }
    if (now != nullptr) {
        install(signal, now);
    } else {
        sigaction(signal, &claimed.before, nullptr);
    }
}

bool is_signal_default(int signal) noexcept {
    const std::lock_guard lock(claims().mutex);
    const Claimed& claimed = claims().signals[static_cast<std::size_t>(signal)];
    struct sigaction action = claimed.before;
    return (claimed.top() != nullptr || sigaction(signal, nullptr, &action) == 0) && action.sa_handler == SIG_DFL;
}

void do_default_action(int signal) noexcept {
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
    raise(signal);
}

}  // namespace knit::detail
