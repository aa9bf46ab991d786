#include "fork_child.hpp"

#include <pthread.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "driver.hpp"
#include "dump_signal.hpp"
#include "knit/error.hpp"
#include "runtime_core.hpp"

namespace knit::detail {
namespace {

constexpr const char* kMessage =
    "knit cannot be used in a child that was forked while its loops were open: a fork has neither their threads nor "
    "their rings. Start a program by create_subprocess_exec(), or call fork() before run()";

/// The fork handler of a child sets it, which has one thread then; publishes nothing.
Atomic<bool> g_is_child{false};

/// Leaked on purpose: a runtime in a static object may be closed late.
struct Guarded {
    std::mutex mutex;
    std::vector<RuntimeCore*> runtimes;
};

Guarded& guarded() {
    static Guarded* const all = [] {
        auto* const made = new Guarded;
        pthread_atfork([] { guarded().mutex.lock(); }, [] { guarded().mutex.unlock(); },
                       [] {
                           Guarded& mine = guarded();
                           for (RuntimeCore* runtime : mine.runtimes) {
                               g_is_child.store(true, std::memory_order_relaxed);  // relaxed: one thread
                               runtime->leave_to_parent();
                           }
                           mine.mutex.unlock();
                       });
        return made;
    }();
    return *all;
}

}  // namespace

void guard_fork(RuntimeCore& runtime) {
    const std::lock_guard lock(guarded().mutex);
    guarded().runtimes.push_back(&runtime);
}

void unguard_fork(RuntimeCore& runtime) noexcept {
    const std::lock_guard lock(guarded().mutex);
    std::erase(guarded().runtimes, &runtime);
}

bool is_fork_child() noexcept { return g_is_child.load(std::memory_order_relaxed); }  // relaxed: a flag alone

void check_not_fork_child() {
    if (is_fork_child()) {
        throw RuntimeError(kMessage);
    }
}

void die_if_fork_child() noexcept {
    if (is_fork_child()) {
        write_to_stderr(kMessage);
        write_to_stderr("\n");
        std::abort();
    }
}

void RuntimeCore::leave_to_parent() noexcept {
    for (const auto& driver : drivers_) {
        driver->leave_to_parent();
    }
}

}  // namespace knit::detail
