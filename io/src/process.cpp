/// Process: a task of its own waits for each program's pidfd and reaps it; the pipes are streams as any others.
///
///   [process.code]  finish: the code, release  ->  returncode on any thread: acquire     an end is the same for all

#include "knit/io/process.hpp"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <climits>
#include <csignal>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "knit/as_result.hpp"
#include "knit/detail/task_core.hpp"
#include "knit/error.hpp"
#include "knit/event.hpp"
#include "knit/gather.hpp"
#include "knit/io/pipe.hpp"
#include "knit/io/streams.hpp"
#include "knit/log.hpp"
#include "knit/sleep.hpp"
#include "knit/task.hpp"
#include "knit/to_thread.hpp"
#include "poll_op.hpp"
#include "spawn.hpp"

namespace knit::detail {

class ProcessState {
public:
    explicit ProcessState(Child child) : ProcessState(child, "process " + std::to_string(child.pid())) {}
    ProcessState(const ProcessState&) = delete;
    ~ProcessState() {
        if (!is_watched && handle.get() != nullptr) {
            end_child(pid, handle.get()->number());
        }
    }

    void finish(int code) noexcept {
        code_.store(code, std::memory_order_release);  // [process.code]
        ended.set();
    }
    std::optional<int> returncode() const noexcept {
        const int code = code_.load(std::memory_order_acquire);  // [process.code]
        return code == kRunning ? std::nullopt : std::optional<int>(code);
    }
    void send_signal(int signal) const {
        const int error = returncode() ? ESRCH : send_signal_to(handle.get()->number(), signal);
        if (error != 0) {
            throw std::system_error(error, std::generic_category(),
                                    "send signal " + std::to_string(signal) + " to process " + std::to_string(pid));
        }
    }
    static std::optional<io::StreamWriter>& in(io::Process& process) noexcept { return process.in_; }
    static std::optional<io::StreamReader>& out(io::Process& process) noexcept { return process.out_; }
    static std::optional<io::StreamReader>& err(io::Process& process) noexcept { return process.err_; }

    const pid_t pid;
    Event ended;
    bool is_watched = false;  ///< there is a task that reaps it; its maker alone sets it

    const DescriptorOwner handle;  ///< its pidfd, to the end, so that signals find nobody else; none: reaped already

private:
    // The child lets go of its pidfd last, when nothing can fail any more. Reaped by somebody else it has none.
    ProcessState(Child& child, std::string name)
        : pid(child.pid()),
          handle(child.is_gone() ? nullptr : new PipeDescriptor(child.release(), std::move(name), false)) {}

    static constexpr int kRunning = INT_MIN;
    Atomic<int> code_{kRunning};  ///< its watcher writes, any thread reads [process.code]
};

namespace {

using State = std::shared_ptr<ProcessState>;

void finish(ProcessState& state, int code) {
    if (code == 255) {
        log(LogLevel::warning, "process " + std::to_string(state.pid) +
                                   " ended with 255, or somebody else has reaped it: knit waits for its own");
    }
    state.finish(code);
}

/// A task of its own for each program: reaps it.
Coro<> watch(State state) {
    for (;;) {
        PollOp ready(state->handle, POLLIN);
        Result<int> polled = co_await as_result(std::move(ready));
        const std::optional<int> code = reap(state->handle.get()->number());
        if (code) {
            finish(*state, *code);
            co_return;
        }
        if (polled) {
            continue;
        }
        bool is_cancelled = false;
        try {
            polled.rethrow();
        } catch (const CancelledError&) {
            is_cancelled = true;  // nobody but the end of the run knows of this task
        } catch (const std::system_error&) {
        }
        if (is_cancelled) {
            if (const int error = send_signal_to(state->handle.get()->number(), SIGKILL); error == EPERM) {
                log_survivor(state->pid, error);  // a set-uid program, which may run for ever
                co_return;
            }
        } else {
            static_cast<void>(co_await as_result(sleep(std::chrono::milliseconds(10))));  // no memory for the poll
        }
    }
}

/// A pipe's other end is the child's, and must not be in the way of what becomes 0, 1 and 2 there.
Fd above_standard(Fd fd) {
    if (fd.get() > 2) {
        return fd;
    }
    Fd moved(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
    if (!moved) {
        throw std::system_error(errno, std::generic_category(), "make a pipe for a program");
    }
    return moved;
}

/// The end that is this program's, of a pipe to the child's `standard`; the child's goes into the request.
Fd plumb(SpawnRequest& request, int standard, io::Stdio what) {
    if (what == io::Stdio::DEVNULL) {
        Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
        if (!null) {
            throw std::system_error(errno, std::generic_category(), "open /dev/null");
        }
        request.standard[standard] = above_standard(std::move(null));
    }
    if (what != io::Stdio::PIPE) {
        return Fd();
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        throw std::system_error(errno, std::generic_category(), "make a pipe for a program");
    }
    Fd reader(ends[0]);
    Fd writer(ends[1]);
    const bool is_input = standard == 0;
    request.standard[standard] = above_standard(std::move(is_input ? reader : writer));
    return std::move(is_input ? writer : reader);
}

void check_request(const SpawnRequest& request, const io::ProcessOptions& options) {
    if (request.argv.empty() || request.argv[0].empty()) {
        throw ValueError("create_subprocess_exec() needs the program's name as argv[0]");
    }
    if (options.in == io::Stdio::STDOUT || options.out == io::Stdio::STDOUT) {
        throw ValueError("STDOUT can only be used for err");
    }
    if (options.limit == 0) {
        throw ValueError("Limit cannot be <= 0");
    }
    bool has_nul = request.cwd.find('\0') != std::string::npos;
    for (const std::string& argument : request.argv) {
        has_nul = has_nul || argument.find('\0') != std::string::npos;
    }
    if (request.env) {
        for (const auto& [name, value] : *request.env) {
            has_nul = has_nul || (name + value).find('\0') != std::string::npos;
            if (name.empty() || name.find('=') != std::string::npos) {
                throw ValueError("illegal environment variable name");
            }
        }
    }
    if (has_nul) {
        throw ValueError("embedded null byte");
    }
}

Coro<io::Process> start(std::shared_ptr<SpawnRequest> request, io::ProcessOptions options) {
    Fd in = plumb(*request, 0, options.in);
    Fd out = plumb(*request, 1, options.out);
    Fd err = plumb(*request, 2, options.err);
    // Cancelled, it goes on, and the child that it brings is killed with the result that nobody takes.
    auto job = to_thread([request] {
        Child child = spawn(*request);
        for (Fd& each : request->standard) {
            each.close();
        }
        return child;
    });
    request.reset();
    Child child = co_await std::move(job);
    const std::string name = "process " + std::to_string(child.pid());
    State state = std::make_shared<ProcessState>(std::move(child));
    if (state->handle.get() != nullptr) {
        TaskOptions task_options;
        task_options.name = "watcher of " + name;
        Task<> watcher = create_task(watch(state), task_options);
        state->is_watched = true;
        static_cast<TaskCore&>(*watcher.ref()).mark_hidden();
    } else {
        finish(*state, 255);
    }
    io::Process process(state);
    try {
        const io::StreamOptions stream_options{options.limit};
        if (in) {
            ProcessState::in(process).emplace(
                io::make_writer(io::PipeWriter(std::move(in), name + ": standard input", false)));
        }
        if (out) {
            ProcessState::out(process).emplace(
                io::make_reader(io::PipeReader(std::move(out), name + ": standard output", false), stream_options));
        }
        if (err) {
            ProcessState::err(process).emplace(
                io::make_reader(io::PipeReader(std::move(err), name + ": standard error", false), stream_options));
        }
    } catch (...) {
        if (state->is_watched) {
            static_cast<void>(send_signal_to(state->handle.get()->number(), SIGKILL));  // its watcher reaps it
        }
        throw;
    }
    co_return process;
}

/// The program need not read it all: what it does with its input is its own affair.
Coro<> feed(std::optional<io::StreamWriter>& in, std::optional<std::string> input) {
    if (!in) {
        co_return;
    }
    if (input) {
        in->write(std::move(*input));
        Result<void> drained = co_await as_result(in->drain());
        if (!drained) {
            try {
                drained.rethrow();
            } catch (const std::system_error& error) {
                if (error.code() != std::errc::broken_pipe && error.code() != std::errc::connection_reset) {
                    throw;
                }
            }
        }
    }
    in->close();
}

Coro<std::optional<std::string>> read_all(std::optional<io::StreamReader>& reader) {
    if (!reader) {
        co_return std::nullopt;
    }
    std::string bytes = co_await reader->read();
    co_return std::optional<std::string>(std::move(bytes));
}

Coro<io::ProcessOutput> communicate(State state, std::optional<io::StreamWriter>& in,
                                    std::optional<io::StreamReader>& out, std::optional<io::StreamReader>& err,
                                    std::optional<std::string> input) {
    Task<> feeding = create_task(feed(in, std::move(input)));
    Task<std::optional<std::string>> reading_out = create_task(read_all(out));
    Task<std::optional<std::string>> reading_err = create_task(read_all(err));
    auto all = gather(feeding, reading_out, reading_err);
    auto results = co_await as_result(std::move(all));
    if (!results) {
        // The others use the Process, which is the caller's again afterwards.
        feeding.cancel();
        reading_out.cancel();
        reading_err.cancel();
        while (!feeding.done() || !reading_out.done() || !reading_err.done()) {
            auto rest = gather(return_exceptions, feeding, reading_out, reading_err);
            static_cast<void>(co_await as_result(std::move(rest)));
        }
    }
    auto& outputs = results.value();
    co_await state->ended.wait();
    io::ProcessOutput output;
    output.out = std::move(std::get<1>(outputs));
    output.err = std::move(std::get<2>(outputs));
    co_return output;
}

}  // namespace
}  // namespace knit::detail

namespace knit::io {

using knit::detail::SpawnRequest;

Process::Process(Process&& other) noexcept
    : state_(std::move(other.state_)),
      in_(std::exchange(other.in_, std::nullopt)),
      out_(std::exchange(other.out_, std::nullopt)),
      err_(std::exchange(other.err_, std::nullopt)) {}

Process& Process::operator=(Process&& other) noexcept {
    Process taken(std::move(other));
    std::swap(state_, taken.state_);
    std::swap(in_, taken.in_);
    std::swap(out_, taken.out_);
    std::swap(err_, taken.err_);
    return *this;
}

Process::~Process() {
    if (in_) {
        try {
            in_->close();
        } catch (const RuntimeError&) {
            // On another thread than its loop's: the writer closes itself, with a warning.
        }
    }
}

int Process::pid() const noexcept { return state_->pid; }

std::optional<int> Process::returncode() const noexcept { return state_->returncode(); }

Coro<int> Process::wait() const {
    const std::shared_ptr<knit::detail::ProcessState> state = state_;
    co_await state->ended.wait();
    co_return *state->returncode();
}

Coro<ProcessOutput> Process::communicate(std::optional<std::string_view> input) {
    std::optional<std::string> copy = input ? std::optional<std::string>(std::string(*input)) : std::nullopt;
    return knit::detail::communicate(state_, in_, out_, err_, std::move(copy));
}

void Process::send_signal(int signal) const { state_->send_signal(signal); }
void Process::terminate() const { send_signal(SIGTERM); }
void Process::kill() const { send_signal(SIGKILL); }

StreamWriter& Process::in() {
    if (!in_) {
        throw RuntimeError("the program's standard input is no pipe: start it with ProcessOptions{.in = PIPE}");
    }
    return *in_;
}

StreamReader& Process::out() {
    if (!out_) {
        throw RuntimeError("the program's standard output is no pipe: start it with ProcessOptions{.out = PIPE}");
    }
    return *out_;
}

StreamReader& Process::err() {
    if (!err_) {
        throw RuntimeError("the program's standard error is no pipe: start it with ProcessOptions{.err = PIPE}");
    }
    return *err_;
}

WorkingDirectory::WorkingDirectory(const std::string& path) {
    if (path.empty()) {
        return;
    }
    static std::mutex* const mutex = new std::mutex;
    static std::set<std::string>* const paths = new std::set<std::string>;
    const std::lock_guard lock(*mutex);
    path_ = &*paths->insert(path).first;
}

Coro<Process> create_subprocess_exec(std::vector<std::string> argv, ProcessOptions options) {
    auto request = std::make_shared<SpawnRequest>();
    request->argv = std::move(argv);
    request->env = std::move(options.env);
    request->cwd = options.cwd.path();
    request->start_new_session = options.start_new_session;
    request->joins_error = options.err == Stdio::STDOUT;
    knit::detail::check_request(*request, options);
    return knit::detail::start(std::move(request), std::move(options));
}

Coro<Process> create_subprocess_shell(std::string command, ProcessOptions options) {
    return create_subprocess_exec({"/bin/sh", "-c", std::move(command)}, std::move(options));
}

}  // namespace knit::io
