/// Failures that nobody took, on their way to the loop's exception handler.
#pragma once

#include <exception>
#include <string>
#include <typeinfo>

namespace knit::detail {

class FutureCore;
class TaskCore;
class Worker;

/// Calls the exception handler of `worker`'s loop, on the calling thread. `task` may be null.
void report(Worker& worker, std::string message, std::exception_ptr error, TaskCore* task) noexcept;

/// A task or future is about to be destroyed with an exception that nobody looked at: its loop's handler hears of it,
/// there, or here when that loop has closed. The future has one reference, the caller's.
void report_unretrieved(FutureCore& future) noexcept;

/// "std::runtime_error: text", for messages.
std::string describe(const std::exception_ptr& error) noexcept;

/// "runtime_error('text')".
std::string exception_text(const std::exception_ptr& error) noexcept;

/// As the source writes it.
std::string type_name(const std::type_info& type);

}  // namespace knit::detail
