/// wait(): until the first, or all, of several tasks and futures are done. Takes no results out, cancels nothing.
#pragma once

#include <concepts>
#include <coroutine>
#include <initializer_list>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

#include "knit/detail/wait_core.hpp"
#include "knit/error.hpp"
#include "knit/gather.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"

namespace knit {

struct WaitOptions {
    /// None: no limit. Zero or less: what is done at the next turn.
    std::optional<Duration> timeout = {};
    ReturnWhen return_when = ReturnWhen::ALL_COMPLETED;
};

/// What was given to wait(), in that order, each once.
template <class H>
struct WaitResult {
    std::vector<H> done;
    std::vector<H> pending;
};

namespace detail {

/// Task<T>, Future<T> or TaskRef.
template <class H>
concept FutureHandle = requires(const H& handle) {
    { handle.ref() } -> std::same_as<const CoreRef&>;
    H(handle.ref());
};
template <class H>
concept CoroHandle = requires {
    typename coro_value<H>::type;
};

template <class H>
class WaitAwaiter : WaitCore {
public:
    using knit_awaiter = void;

    WaitAwaiter(std::vector<CoreRef> futures, const WaitOptions& options) noexcept
        : WaitCore("wait", options.return_when, options.timeout), futures_(std::move(futures)) {}

    bool await_ready() {
        if (futures_.empty()) {
            throw ValueError("Set of Tasks/Futures is empty.");
        }
        return false;
    }
    template <KnitPromise P>
    void await_suspend(std::coroutine_handle<P> handle) {
        drop_duplicates(futures_);
        places_ = std::make_unique<WaitPlace[]>(futures_.size());
        for (std::size_t index = 0; index < futures_.size(); ++index) {
            places_[index].future = futures_[index].get();
        }
        start({places_.get(), futures_.size()}, handle.promise().task(), handle);
    }
    WaitResult<H> await_resume() {
        finish();
        WaitResult<H> result;
        for (CoreRef& future : futures_) {
            (future->is_done() ? result.done : result.pending).push_back(H(std::move(future)));
        }
        return result;
    }

private:
    std::vector<CoreRef> futures_;
    std::unique_ptr<WaitPlace[]> places_;
};

template <class Range>
std::vector<CoreRef> refs_of(const Range& handles) {
    std::vector<CoreRef> refs;
    for (const auto& handle : handles) {
        if (!handle) {
            throw_empty_handle();
        }
        refs.push_back(handle.ref());
    }
    return refs;
}

}  // namespace detail

/// Suspends the current task until the tasks and futures, of whatever loops, are done as `options` say, or its timeout
/// has passed: that raises nothing. What is done is told when the waiter resumes, on its own loop; results and
/// exceptions stay where they are. ValueError when there are none, or of another runtime.
/// Cancelled: CancelledError at once; the tasks go on.
template <std::ranges::range Range>
requires detail::FutureHandle<std::ranges::range_value_t<Range>>
[[nodiscard]] auto wait(const Range& handles, WaitOptions options = {}) {
    return detail::WaitAwaiter<std::ranges::range_value_t<Range>>(detail::refs_of(handles), options);
}
template <detail::FutureHandle H>
[[nodiscard]] auto wait(std::initializer_list<H> handles, WaitOptions options = {}) {
    return detail::WaitAwaiter<H>(detail::refs_of(handles), options);
}

template <std::ranges::range Range>
requires detail::CoroHandle<std::ranges::range_value_t<Range>>
void wait(Range&&, WaitOptions = {}) {
    static_assert(!sizeof(Range*), "Passing coroutines is forbidden, use tasks explicitly.");
}
template <class H>
requires(detail::FutureHandle<H> || detail::CoroHandle<H>)
void wait(const H&, WaitOptions = {}) {
    static_assert(!sizeof(H*), "wait() expects a list of futures, not a single one");
}

}  // namespace knit
