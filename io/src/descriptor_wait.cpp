#include "descriptor_wait.hpp"

#include <mutex>
#include <utility>
#include <vector>

#include "knit/error.hpp"
#include "knit/io/detail/fd.hpp"
#include "knit/loop.hpp"

namespace knit::detail {
namespace {

/// Of the whole process, as descriptors are. Never destroyed: descriptors may be closed by static destructors.
struct Waiters {
    std::mutex mutex;
    std::vector<Future<>> futures;
};

Waiters& waiters() {
    static Waiters& all = *new Waiters;
    return all;
}

void settle(Future<>& future) {
    try {
        future.set_result();
    } catch (const InvalidStateError&) {  // the pause is over, or whoever waited was cancelled
        return;
    }
}

// One descriptor is free, but all try: which of them still waits is not known here.
void tell_waiters() noexcept {
    std::vector<Future<>> told;
    {
        const std::lock_guard lock(waiters().mutex);
        g_descriptor_freed.store(nullptr, std::memory_order_relaxed);  // [fd.freed]
        told.swap(waiters().futures);
    }
    for (Future<>& future : told) {
        settle(future);
    }
}

}  // namespace

Future<> when_descriptor_may_be_free(Duration pause) {
    Future<> future;
    get_running_loop().call_later(pause, [future]() mutable {
        if (!future.done()) {
            tell_waiters();
            settle(future);
        }
    });
    const std::lock_guard lock(waiters().mutex);
    waiters().futures.push_back(future);
    g_descriptor_freed.store(&tell_waiters, std::memory_order_relaxed);  // [fd.freed]
    return future;
}

}  // namespace knit::detail
