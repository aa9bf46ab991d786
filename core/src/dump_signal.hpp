/// A signal that asks for a dump of all tasks, and how a handler wakes a watchdog.
#pragma once

#include <semaphore.h>

#include <string_view>

#include "knit/detail/base.hpp"
#include "knit/time.hpp"

namespace knit::detail {

/// What a thread waits for. Never freed, because a signal handler may ring it late; used again.
struct Bell {
    Bell() noexcept { sem_init(&semaphore, 0, 0); }
    /// Any thread, and a signal handler.
    void ring() noexcept { sem_post(&semaphore); }
    void wait(Duration limit) noexcept;

    sem_t semaphore;
    Bell* next = nullptr;  ///< of the unused ones
};
Bell* take_bell();
void give_back_bell(Bell& bell) noexcept;

/// From now on `signal` rings one of the bells that are given here, and leaves a request. What the signal did before it
/// does again when the last has gone.
void watch_dump_signal(int signal, Bell& bell);
void unwatch_dump_signal(int signal, Bell& bell) noexcept;
/// Whether there was a request; it is the caller's now.
bool take_dump_request() noexcept;

void write_to_stderr(std::string_view text) noexcept;

}  // namespace knit::detail
