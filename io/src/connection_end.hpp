/// How a connection that is a task is ended from outside: a handler of serve(), a handshake of start_server().
#pragma once

#include <cstdint>

#include "connection.hpp"
#include "knit/task.hpp"

namespace knit::detail {

/// What such a task is cancelled with.
inline constexpr const char* kEnded = "the server ends its connections";

/// The socket of such a task: a number may be closed long since, and a stranger's, which the cookie tells. Asked and
/// used on the task's loop: elsewhere it could be closed in between.
class TaskSocket {
public:
    /// One that is open.
    explicit TaskSocket(int number) noexcept;

    bool is_there() const noexcept;
    void reset_on_close() const noexcept;
    void break_off() const noexcept;

private:
    int number_;
    std::uint64_t cookie_;
};

/// Cancels `task`. Where that does not end it, its connection is broken, but not for End::close.
Connection::Ender ender_of(TaskRef task, TaskSocket socket);

}  // namespace knit::detail
