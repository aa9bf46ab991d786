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
/// killed and reaped.
class Child {
public:
    Child() noexcept = default;
    /// Takes over a child of this process. Throws std::system_error, and the child is gone, when it cannot be watched.
    explicit Child(pid_t pid);
    Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), handle_(std::move(other.handle_)) {}
    Child& operator=(Child&&) = delete;
    ~Child();

    pid_t pid() const noexcept { return pid_; }
    /// The pidfd; the caller reaps. None: it has ended and been reaped by somebody else, as where SIGCHLD is ignored.
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

/// 0, or an errno.
int send_signal_to(int pidfd, int signal) noexcept;

/// What a child came to, -N for signal N: nothing while it runs. 255 when somebody else has reaped it.
std::optional<int> reap(int pidfd) noexcept;

}  // namespace knit::detail
