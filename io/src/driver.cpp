// Which driver the loops get. All loops of a process that leave the choice to knit get the same: what the first one
// found holds for the others.
#include "driver.hpp"

#include <cerrno>
#include <chrono>
#include <mutex>
#include <string>
#include <system_error>

#include "epoll_driver.hpp"
#include "knit/detail/worker.hpp"
#include "knit/log.hpp"
#include "knit/options.hpp"
#include "uring_driver.hpp"

namespace knit::detail {
namespace {

/// What the first loop of the process that tried a ring came to.
struct Probe {
    enum class Outcome { unknown, granted, denied };
    std::mutex mutex;
    Outcome outcome = Outcome::unknown;
    std::string cause;  ///< of the denial, with the cure
};

Probe& probe() {
    static Probe* const instance = new Probe;  // leaked on purpose: loops may start while static objects are destroyed
    return *instance;
}

/// Want of descriptors tells nothing about io_uring, and epoll would want them too.
bool is_denial(int error) noexcept { return error != EMFILE && error != ENFILE; }

/// Null where io_uring is denied, as `cause` says then.
std::unique_ptr<Driver> make_uring_driver_if_granted(unsigned entries, std::string& cause) {
    Probe& known = probe();
    const std::lock_guard lock(known.mutex);
    if (known.outcome != Probe::Outcome::denied) {
        try {
            auto driver = std::make_unique<UringDriver>(entries);
            known.outcome = Probe::Outcome::granted;
            return driver;
        } catch (const std::system_error& error) {
            if (known.outcome == Probe::Outcome::granted || !is_denial(error.code().value())) {
                throw;
            }
            known.outcome = Probe::Outcome::denied;
            known.cause = error.what();
        }
        log(LogLevel::warning, "knit: the loops wait with epoll, which is slower, because " + known.cause +
                                   "; KNIT_DRIVER=epoll takes it without this warning");
    }
    cause = known.cause;
    return nullptr;
}

}  // namespace

std::unique_ptr<Driver> make_driver(Worker& worker, const Settings& settings) {
    switch (settings.driver) {
        case DriverKind::uring: return std::make_unique<UringDriver>(settings.ring_entries);
        case DriverKind::epoll: return std::make_unique<EpollDriver>(&worker, "KNIT_DRIVER or RunOptions::driver");
        case DriverKind::automatic: break;
    }
    std::string cause;
    if (auto driver = make_uring_driver_if_granted(settings.ring_entries, cause)) {
        return driver;
    }
    return std::make_unique<EpollDriver>(&worker, cause);
}

IoDriver::~IoDriver() {
    if (buffers_ != nullptr) {
        BufferPool::close(buffers_);
    }
}

BufferPool* buffers_of(Worker& worker) noexcept { return static_cast<IoDriver&>(worker.driver()).buffers_nowait(); }

TimePoint IoDriver::now() noexcept { return std::chrono::steady_clock::now(); }

void IoDriver::leave_to_parent() noexcept {
    kind_ = Kind::parents;
    bell_.leave_to_parent();
    queued_ = 1;  // so that the next turn polls
    flags_ = tail_ = &nothing_;
}

}  // namespace knit::detail
