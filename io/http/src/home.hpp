/// come_home(): a user's function may go on to another loop, and what follows it touches a connection of this one.
#pragma once

#include "knit/coro.hpp"
#include "knit/error.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"

namespace knit::http::detail {

/// Brings the current task back to `loop`, cancelled or not: what it is about to do sees the stream that is closed.
inline Coro<> come_home(Loop& loop) {
    const TaskRef task = *current_task();
    while (&task.get_loop() != &loop) {
        try {
            co_await resume_on(loop);
        } catch (const CancelledError&) {
            continue;
        }
    }
}

}  // namespace knit::http::detail
