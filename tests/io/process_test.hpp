/// What the tests of Process share.
#pragma once

#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <iterator>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "io_test.hpp"
#include "logged.hpp"
#include "knit/io/process.hpp"

namespace knit::test {

using Argv = std::vector<std::string>;

/// The words of a command. GCC 12 takes no list of them inside of an await.
inline Argv words(const std::string& command) {
    std::istringstream in(command);
    return Argv(std::istream_iterator<std::string>(in), {});
}

inline Coro<Process> start(Argv argv, ProcessOptions options = {}) {
    return create_subprocess_exec(std::move(argv), std::move(options));
}

inline ProcessOptions with(Stdio in, Stdio out, Stdio err = Stdio::INHERIT) {
    ProcessOptions options;
    options.in = in;
    options.out = out;
    options.err = err;
    return options;
}

/// What a command of the shell writes, and its return code behind it.
inline Coro<std::string> output_of(std::string command, ProcessOptions options = {}) {
    options.out = PIPE;
    Process process = co_await create_subprocess_shell(std::move(command), std::move(options));
    ProcessOutput output = co_await process.communicate();
    co_return output.out.value() + std::to_string(process.returncode().value());
}

inline bool is_gone(int pid) { return ::kill(pid, 0) < 0 && errno == ESRCH; }

/// This process has no children, not even zombies.
inline bool has_no_children() { return waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }

}  // namespace knit::test
