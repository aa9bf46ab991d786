/// Process: another program, with its pipes.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "knit/coro.hpp"
#include "knit/io/stream_reader.hpp"
#include "knit/io/stream_writer.hpp"

namespace knit::detail {

class ProcessState;

}  // namespace knit::detail

namespace knit::io {

/// What a program's standard descriptor is.
enum class Stdio {
    INHERIT,  ///< this program's own
    PIPE,     ///< the other end is Process::in(), out() or err()
    DEVNULL,
    STDOUT,   ///< of `err` alone: where `out` goes
};
inline constexpr auto PIPE = Stdio::PIPE;
inline constexpr auto DEVNULL = Stdio::DEVNULL;
inline constexpr auto STDOUT = Stdio::STDOUT;

/// A directory in ProcessOptions: made from any string or path. Trivially copyable, because GCC 12 destroys an
/// aggregate temporary twice inside a co_await expression (bug 107288), and the options in
/// `co_await create_subprocess_exec(argv, {.in = PIPE})` are one.
class WorkingDirectory {
public:
    WorkingDirectory() noexcept = default;
    WorkingDirectory(const std::string& path);
    WorkingDirectory(const char* path) : WorkingDirectory(std::string(path)) {}
    WorkingDirectory(const std::filesystem::path& path) : WorkingDirectory(path.string()) {}

    bool empty() const noexcept { return path_ == nullptr; }
    std::string path() const { return path_ != nullptr ? *path_ : std::string(); }
    operator std::string() const { return path(); }

private:
    const std::string* path_ = nullptr;  ///< kept once for each text, to the end of the process
};
static_assert(std::is_trivially_copyable_v<WorkingDirectory> && std::is_trivially_destructible_v<WorkingDirectory>);

struct ProcessOptions {
    Stdio in = Stdio::INHERIT;
    Stdio out = Stdio::INHERIT;
    Stdio err = Stdio::INHERIT;
    /// Nothing: this program's environment. With GCC 12 options that have one must be a variable of their own, not
    /// written inside of a co_await expression.
    std::optional<std::map<std::string, std::string>> env = {};
    WorkingDirectory cwd = {};                  ///< empty: this program's
    bool start_new_session = false;                              ///< setsid(2)
    std::size_t limit = std::size_t{64} << 10;                   ///< of the readers; see StreamReader
};

struct ProcessOutput {
    std::optional<std::string> out;  ///< nothing: there was no pipe
    std::optional<std::string> err;
};

/// A program that was started. Move-only. It is reaped as soon as it ends, whether or not anybody waits. Dropped while
/// the program runs, the Process closes its pipes and the program goes on, and is reaped in the end. What still runs
/// when run() ends is killed, as asyncio's closed transport does. The streams belong to the loop that started it; the
/// rest may be called on any.
class Process {
public:
    /// knit's own use.
    explicit Process(std::shared_ptr<knit::detail::ProcessState> state) noexcept : state_(std::move(state)) {}
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;
    ~Process();

    int pid() const noexcept;
    /// The exit code, or -N when signal N ended it; nothing while it runs. 255, and a warning in the log, when somebody
    /// else has reaped it, as with SIGCHLD ignored.
    std::optional<int> returncode() const noexcept;
    /// Waits for the end; gives the return code. Any number of tasks, again after the end. Output that was not read
    /// stays readable, and a program that has more to write than a pipe holds does not end before it is read: that is
    /// what communicate() is for. Cancelled: CancelledError, the program goes on.
    Coro<int> wait() const;
    /// Writes `input`, which is copied, to the program's standard input, closes that, reads output and error output to
    /// their ends, and waits. That the program does not read all of the input is no error. Cancelled: CancelledError;
    /// the program goes on and what was read is lost. The Process is not to be moved meanwhile.
    Coro<ProcessOutput> communicate(std::optional<std::string_view> input = {});

    /// std::system_error with ESRCH when it has ended, EINVAL for a number that is no signal.
    void send_signal(int signal) const;
    void terminate() const;  ///< SIGTERM
    void kill() const;       ///< SIGKILL

    /// The pipes. RuntimeError where none was asked for.
    StreamWriter& in();
    StreamReader& out();
    StreamReader& err();

private:
    friend class knit::detail::ProcessState;

    std::shared_ptr<knit::detail::ProcessState> state_;
    std::optional<StreamWriter> in_;
    std::optional<StreamReader> out_;
    std::optional<StreamReader> err_;
};

/// Starts a program: argv[0], looked for in PATH (`env`'s, if that is given) unless it has a slash in it. It inherits
/// no other descriptors than 0, 1 and 2, blocks no signal, and ignores none but what nohup(1) has it ignore. Throws
/// std::system_error: ENOENT, EACCES ... for what cannot be started; ValueError for arguments that cannot be.
/// Cancelled: CancelledError, and no program is left.
Coro<Process> create_subprocess_exec(std::vector<std::string> argv, ProcessOptions options = {});
/// The same for a command of /bin/sh.
Coro<Process> create_subprocess_shell(std::string command, ProcessOptions options = {});

}  // namespace knit::io

namespace knit {
using io::create_subprocess_exec;
using io::create_subprocess_shell;
using io::DEVNULL;
using io::PIPE;
using io::Process;
using io::ProcessOptions;
using io::ProcessOutput;
using io::Stdio;
using io::STDOUT;
}  // namespace knit
