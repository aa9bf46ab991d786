#include "knit/executor.hpp"

#include <chrono>
#include <cstdio>
#include <optional>

#include "blocking_pool.hpp"
#include "knit/error.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "platform.hpp"
#include "runtime_core.hpp"

namespace knit {

ThreadPoolExecutor::ThreadPoolExecutor(unsigned threads) {
    if (threads == 0) {
        throw ValueError("max_workers must be greater than 0");
    }
    pool_ = std::make_unique<detail::BlockingPool>(
        threads, std::vector<unsigned>(),
        detail::BlockingPool::Texts{"knit-executor", "cannot schedule new futures after shutdown"});
}

ThreadPoolExecutor::~ThreadPoolExecutor() = default;

void ThreadPoolExecutor::shutdown() { pool_->shutdown(); }

void ThreadPoolExecutor::submit(std::function<void(bool)> job) { pool_->submit(std::move(job)); }

namespace detail {

void submit_blocking(Worker& worker, ThreadPoolExecutor* executor, std::function<void(bool)> job) {
    if (executor != nullptr) {
        executor->submit(std::move(job));
    } else {
        worker.life().blocking_pool().submit(std::move(job));
    }
}

void submit_for_driver(Worker& worker, std::function<void(bool)> job) {
    worker.runtime().driver_pool().submit(std::move(job));
}

namespace {

/// Settles the future unless somebody has. Any thread.
void settle_once(const Future<bool>& future, bool value) noexcept {
    auto& state = static_cast<FutureState&>(*future.ref());
    if (state.claim()) {
        slot_of<bool>(state).emplace(value);
        state.settle(State::value);
    }
}

void warn_unfinished(Duration limit) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%g", std::chrono::duration<double>(limit).count());
    log(LogLevel::warning,
        "The executor did not finish joining its threads within " + std::string(seconds) + " seconds.");
}

}  // namespace
}  // namespace detail

Coro<> Loop::shutdown_default_executor(std::optional<Duration> timeout) {
    check_open();
    Future<bool> has_ended;  // false: it has not, and the time is over
    if (!worker_.life().blocking_pool().refuse([has_ended] { detail::settle_once(has_ended, true); })) {
        co_return;
    }
    Handle limit;
    if (timeout) {
        limit = get_running_loop().call_later(*timeout, [has_ended] { detail::settle_once(has_ended, false); });
    }
    bool is_in_time = false;
    try {
        is_in_time = co_await has_ended;
    } catch (...) {
        limit.cancel();
        throw;
    }
    limit.cancel();
    if (!is_in_time) {
        detail::warn_unfinished(*timeout);
    }
}

}  // namespace knit
