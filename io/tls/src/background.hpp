/// What TlsCore leaves to tasks of its own.
#pragma once

#include <optional>

#include "knit/coro.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"

namespace knit::detail {

/// A task of knit's own, up to its first wait.
inline void start_hidden(Coro<> body) {
    TaskOptions options;
    options.eager_start = true;
    const Task<> task = create_task(std::move(body), options);
    static_cast<TaskCore&>(*task.ref()).mark_hidden();
}

/// A limit of the options, as with_timeout() takes it: zero is none.
inline std::optional<Duration> limit_of(Duration limit) noexcept {
    return limit > Duration::zero() ? std::optional(limit) : std::nullopt;
}

}  // namespace knit::detail
