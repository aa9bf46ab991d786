#include "knit/log.hpp"

#include <cstdio>
#include <mutex>
#include <utility>

namespace knit {
namespace {

struct Sink {
    std::recursive_mutex mutex;  // a sink may log
    std::function<void(const LogRecord&)> function;
};

// Leaked on purpose: threads may log while static objects are being destroyed.
Sink& sink() {
    static Sink* const instance = new Sink;
    return *instance;
}

void log_to_stderr(const LogRecord& record) {
    if (record.level >= LogLevel::warning) {
        std::fprintf(stderr, "%s\n", record.message.c_str());
    }
}

}  // namespace

void set_log_sink(std::function<void(const LogRecord&)> function) {
    const std::lock_guard lock(sink().mutex);
    sink().function = std::move(function);
}

void detail::log(LogLevel level, std::string message) noexcept {
    try {
        const LogRecord record{level, std::move(message)};
        const std::lock_guard lock(sink().mutex);
        if (sink().function) {
            sink().function(record);
        } else {
            log_to_stderr(record);
        }
    } catch (...) {
        std::fputs("knit: the log sink threw, a record is lost\n", stderr);
    }
}

}  // namespace knit
