/// Where knit's own reports go when no exception handler takes them.
#pragma once

#include <functional>
#include <string>

namespace knit {

enum class LogLevel { debug, info, warning, error };

struct LogRecord {
    LogLevel level;
    std::string message;
};

/// Sends every record to `sink`; an empty one restores the default (warnings and errors to stderr). Process-wide; any
/// thread, any time. The sink may be called from several threads, one at a time, and must not call set_log_sink().
void set_log_sink(std::function<void(const LogRecord&)> sink);

namespace detail {

/// Never throws: a sink that throws loses its record.
void log(LogLevel level, std::string message) noexcept;

}  // namespace detail
}  // namespace knit
