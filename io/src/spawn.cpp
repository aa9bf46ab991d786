#include "spawn.hpp"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <memory>
#include <system_error>

#include "knit/detail/base.hpp"
#include "knit/detail/blocking_job.hpp"
#include "knit/detail/worker.hpp"
#include "knit/log.hpp"

extern "C" {
#include <sys/pidfd.h>  // of glibc 2.36, which does not say so itself
}

namespace knit::detail {
namespace {

/// What posix_spawn(3) is told, beside the program.
class SpawnPlan {
public:
    explicit SpawnPlan(const SpawnRequest& request) {
        check(posix_spawnattr_init(&attributes_));
        check(posix_spawn_file_actions_init(&actions_));
        // What this program ignores or blocks is its own affair. nohup's promise, though, holds for children too.
        sigset_t signals;
        sigemptyset(&signals);
        check(posix_spawnattr_setsigmask(&attributes_, &signals));
        sigfillset(&signals);
        sigdelset(&signals, SIGHUP);
        check(posix_spawnattr_setsigdefault(&attributes_, &signals));
        const int session = request.start_new_session ? POSIX_SPAWN_SETSID : 0;
        check(posix_spawnattr_setflags(&attributes_, static_cast<short>(POSIX_SPAWN_SETSIGMASK |
                                                                        POSIX_SPAWN_SETSIGDEF | session)));
        if (!request.cwd.empty()) {
            check(posix_spawn_file_actions_addchdir_np(&actions_, request.cwd.c_str()));
        }
        for (int target = 0; target < 3; ++target) {
            if (request.standard[target]) {
                check(posix_spawn_file_actions_adddup2(&actions_, request.standard[target].get(), target));
            }
        }
        if (request.joins_error) {
            check(posix_spawn_file_actions_adddup2(&actions_, STDOUT_FILENO, STDERR_FILENO));
        }
        check(posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1));
    }
    SpawnPlan(const SpawnPlan&) = delete;
    ~SpawnPlan() {
        posix_spawn_file_actions_destroy(&actions_);
        posix_spawnattr_destroy(&attributes_);
    }

    /// 0, or an errno.
    int start(pid_t& pid, const char* program, char* const* argv, char* const* env) const noexcept {
        return posix_spawn(&pid, program, &actions_, &attributes_, argv, env);
    }

private:
    static void check(int error) {
        if (error != 0) {
            throw std::system_error(error, std::generic_category(), "prepare to start a program");
        }
    }

    posix_spawnattr_t attributes_;
    posix_spawn_file_actions_t actions_;
};

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
    std::vector<char*> pointers;
    for (const std::string& text : texts) {
        pointers.push_back(const_cast<char*>(text.c_str()));
    }
    pointers.push_back(nullptr);
    return pointers;
}

/// Where a program without a slash is looked for: by the child's environment, as execvpe(3) would by this one's.
std::string search_path(const SpawnRequest& request) {
    const char* path = nullptr;
    if (!request.env) {
        path = std::getenv("PATH");
    } else if (const auto found = request.env->find("PATH"); found != request.env->end()) {
        path = found->second.c_str();
    }
    return path != nullptr ? path : "/bin:/usr/bin";
}

/// The file, or an errno.
int find_program(const SpawnRequest& request, std::string& program) {
    program = request.argv[0];
    if (program.find('/') != std::string::npos) {
        return 0;
    }
    int error = ENOENT;
    const std::string path = search_path(request);
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find(':', begin), path.size());
        const std::string folder = path.substr(begin, end - begin);
        const std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
        struct stat status {};
        if (stat(candidate.c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) {
            if (access(candidate.c_str(), X_OK) == 0) {
                program = candidate;
                return 0;
            }
            error = EACCES;
        }
        begin = end + 1;
    }
    return error;
}

/// Of a child that has been killed.
void wait_for_end(idtype_t kind, int number) noexcept {
    siginfo_t info{};
    while (waitid(kind, static_cast<id_t>(number), &info, WEXITED) != 0 && errno == EINTR) {
    }
}

[[noreturn]] void fail(int error, const SpawnRequest& request) {
    std::string text = "start '" + request.argv[0] + "'";
    struct stat status {};
    if (!request.cwd.empty() && (stat(request.cwd.c_str(), &status) != 0 || !S_ISDIR(status.st_mode))) {
        text += " in directory '" + request.cwd + "'";
    }
    throw std::system_error(error, std::generic_category(), text);
}

}  // namespace

Child::Child(pid_t pid) : pid_(pid), handle_(pidfd_open(pid, 0)) {
    if (!handle_) {
        const int error = errno;
        if (error == ESRCH) {
            return;  // it has ended, and somebody else has reaped it: the number may be another process's by now
        }
        if (kill(pid, SIGKILL) == 0) {  // not reaped, so the number is still its
            wait_for_end(P_PID, pid);
        } else {
            log_survivor(pid, errno);
        }
        throw std::system_error(error, std::generic_category(), "watch process " + std::to_string(pid));
    }
}

Child::~Child() {
    if (pid_ < 0 || !handle_) {
        return;
    }
    Worker* const here = Worker::current();
    if (here == nullptr) {
        end_child(pid_, handle_.get());
        return;
    }
    // The end of a killed program takes its time, which is not a loop's to wait.
    std::shared_ptr<Fd> ended;
    try {
        ended = std::make_shared<Fd>(std::move(handle_));
        submit_blocking(*here, nullptr, [pid = pid_, ended](bool) noexcept { end_child(pid, ended->get()); });
    } catch (const std::exception&) {
        // No memory, or no pool any more.
        end_child(pid_, ended != nullptr ? ended->get() : handle_.get());
    }
}

void end_child(pid_t pid, int pidfd) noexcept {
    if (const int error = send_signal_to(pidfd, SIGKILL); error == EPERM) {
        log_survivor(pid, error);
    } else {
        wait_for_end(P_PIDFD, pidfd);
    }
}

void log_survivor(pid_t pid, int error) noexcept {
    log(LogLevel::warning, "process " + std::to_string(pid) + " cannot be killed (" +
                               std::generic_category().message(error) +
                               "): it goes on, and nobody waits for its end");
}

Child spawn(const SpawnRequest& request) {
    std::string program;
    if (const int error = find_program(request, program); error != 0) {
        fail(error, request);
    }
    const SpawnPlan plan(request);
    std::vector<std::string> settings;
    if (request.env) {
        for (const auto& [name, value] : *request.env) {
            settings.push_back(name + "=" + value);
        }
    }
    const std::vector<char*> argv = pointers_to(request.argv);
    const std::vector<char*> env = pointers_to(settings);
    pid_t pid = -1;
    const int error = plan.start(pid, program.c_str(), argv.data(), request.env ? env.data() : environ);
    if (error != 0) {
        fail(error, request);
    }
    return Child(pid);
}

int send_signal_to(int pidfd, int signal) noexcept {
    return pidfd_send_signal(pidfd, signal, nullptr, 0) == 0 ? 0 : errno;
}

std::optional<int> reap(int pidfd) noexcept {
    siginfo_t info{};
    while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) != 0) {
        if (errno != EINTR) {
            KNIT_ASSERT(errno == ECHILD);
            return 255;
        }
    }
    if (info.si_pid == 0) {
        return std::nullopt;
    }
    return info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
}

}  // namespace knit::detail
