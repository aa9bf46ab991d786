/// Where knit's own reports go when no exception handler takes them.
#pragma once

#include <functional>
#include <new>
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
/// Logs what `text` gives; nothing where there is no memory for that.
template <class Text>
void log_or_lose(LogLevel level, Text text) noexcept {
    try {
        log(level, text());
    } catch (const std::bad_alloc&) {
        return;  // not even for this text
    }
}

}  // namespace detail
}  // namespace knit
