/// Which of knit's handlers a signal goes to. Several parts catch signals, and their scopes need not nest: each claims
/// and releases here, and what the signal did before knit it does again when the last claim has gone.
#pragma once

#include <cstddef>

namespace knit::detail {

/// The highest claim gets the signal.
enum class SignalRank : std::size_t {
    shutdown,  ///< SIGINT and RunOptions::shutdown_signals
    dump,      ///< KNIT_DUMP_SIGNAL
    user,      ///< signal_wait(), Loop::add_signal_handler()
    count,
};

using SignalFunction = void (*)(int);

/// From now on `signal` calls `function`, in the context of a signal handler, unless a higher claim stands. One claim
/// of a rank at a time. False, with errno, when the kernel refuses.
bool claim_signal(int signal, SignalRank rank, SignalFunction function) noexcept;
void release_signal(int signal, SignalRank rank) noexcept;
/// Whether the signal's action, as the program has set it without knit, is the default one.
bool is_signal_default(int signal) noexcept;
/// For a handler: the default action, now.
void do_default_action(int signal) noexcept;

}  // namespace knit::detail
