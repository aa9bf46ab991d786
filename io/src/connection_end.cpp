#include "connection_end.hpp"

#include <sys/socket.h>

#include <chrono>
#include <utility>

#include "knit/detail/worker.hpp"
#include "knit/error.hpp"
#include "knit/io/socket.hpp"
#include "knit/loop.hpp"
#include "knit/time.hpp"

namespace knit::detail {
namespace {

// A task that has been cancelled and yet is there waits for its peer, whom its write lent its memory, or has much to
// clean up. After so long its connection is broken, which ends the wait.
constexpr std::chrono::milliseconds kAbortPatience{10};
constexpr std::chrono::seconds kGiveUpPatience{1};

/// The kernel's name for a socket, never given to a second one; 0 when it tells none.
std::uint64_t cookie_of(int number) noexcept {
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(number, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

/// Calls `action` on the task's loop, which it is sent after: a connection may move. Ends: it does not do so again and
/// again. Not at all when the task has ended.
template <class Action>
void on_its_loop(TaskRef task, Action action) {
    Loop& home = task.get_loop();
    if (task.done()) {
        return;
    }
    if (&home.worker() == Worker::current()) {
        action(home);
        return;
    }
    try {
        home.call_soon_threadsafe([task, action] { on_its_loop(task, action); });
    } catch (const RuntimeError&) {
        return;  // the loop is closed, and with it the connection
    }
}

void break_off(const TaskRef& task, TaskSocket socket) {
    on_its_loop(task, [socket](Loop&) {
        if (socket.is_there()) {
            socket.break_off();
        }
    });
}

void end_task(TaskRef task, TaskSocket socket, Duration patience, bool resets) {
    on_its_loop(task, [task, socket, patience, resets](Loop& home) mutable {
        if (resets && socket.is_there()) {
            socket.reset_on_close();
        }
        task.cancel(kEnded);
        home.call_later(patience, [task, socket] { break_off(task, socket); });
    });
}

}  // namespace

Connection::Ender ender_of(TaskRef task, TaskSocket socket) {
    return [task = std::move(task), socket](Connection::End how) mutable {
        switch (how) {
            case Connection::End::close: task.cancel(kEnded); return;
            case Connection::End::give_up: end_task(task, socket, kGiveUpPatience, false); return;
            case Connection::End::abort: end_task(task, socket, kAbortPatience, true); return;
        }
    };
}

TaskSocket::TaskSocket(int number) noexcept : number_(number), cookie_(cookie_of(number)) {}

bool TaskSocket::is_there() const noexcept { return cookie_ != 0 && cookie_of(number_) == cookie_; }

void TaskSocket::reset_on_close() const noexcept {
    const linger now{1, 0};
    static_cast<void>(setsockopt(number_, SOL_SOCKET, SO_LINGER, &now, sizeof now));  // fails: no connection left
}

void TaskSocket::break_off() const noexcept { break_connection_of(number_); }

}  // namespace knit::detail
