/// Starting a program: what may block, or stop the thread for a while, and so runs on the blocking pool.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "knit/io/detail/fd.hpp"

namespace knit::detail {

/// A child process that has not been reaped, by its pidfd: a number that no other process gets. What nobody takes is
/// killed and reaped: on the blocking pool when it is a loop that lets go of it. One that this process may not kill, as
/// a set-uid program, goes on.
class Child {
public:
    Child() noexcept = default;
    /// Takes over a child of this process. Throws std::system_error, and the child is gone, when it cannot be watched.
    explicit Child(pid_t pid);
    Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), handle_(std::move(other.handle_)) {}
    Child& operator=(Child&&) = delete;
    ~Child();

    pid_t pid() const noexcept { return pid_; }
    /// It has ended and been reaped by somebody else, as where SIGCHLD is ignored: there is no pidfd.
    bool is_gone() const noexcept { return !handle_; }
    /// The pidfd; the caller reaps.
    Fd release() noexcept {
        pid_ = -1;
        return std::move(handle_);
    }

private:
    pid_t pid_ = -1;
    Fd handle_;
};

/// What a program is started with.
struct SpawnRequest {
    std::vector<std::string> argv;
    std::optional<std::map<std::string, std::string>> env;  ///< nothing: this process's
    std::string cwd;
    bool start_new_session = false;
    /// What becomes 0, 1 and 2: a descriptor of at least 3; nothing: this process's own.
    Fd standard[3];
    bool joins_error = false;  ///< 2 becomes what 1 is
};

/// Any thread. Throws std::system_error: ENOENT, EACCES ... for a program that cannot be started.
Child spawn(const SpawnRequest& request);

/// Kills a child and waits for its end, unless this process may not kill it.
void end_child(pid_t pid, int pidfd) noexcept;
/// Says that a child which was to be killed goes on.
void log_survivor(pid_t pid, int error) noexcept;

/// 0, or an errno.
int send_signal_to(int pidfd, int signal) noexcept;

/// What a child came to, -N for signal N: nothing while it runs. 255 when somebody else has reaped it.
std::optional<int> reap(int pidfd) noexcept;

}  // namespace knit::detail
