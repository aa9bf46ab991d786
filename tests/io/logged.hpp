/// What knit logs, for tests.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "knit/log.hpp"

namespace knit::test {

/// What is logged while it lives.
class Logged {
public:
    Logged() {
        set_log_sink([this](const LogRecord& record) {
            const std::lock_guard lock(mutex_);
            records_.push_back(record);
        });
    }
    Logged(const Logged&) = delete;
    Logged& operator=(const Logged&) = delete;
    ~Logged() { set_log_sink({}); }

    std::vector<std::string> warnings() const {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> texts;
        for (const LogRecord& record : records_) {
            const bool is_watchdogs = record.message.find(" has been blocked for ") != std::string::npos;
            if (record.level == LogLevel::warning && !is_watchdogs) {
                texts.push_back(record.message);
            }
        }
        return texts;
    }

    /// All of it, a line each.
    std::string text() const {
        const std::lock_guard lock(mutex_);
        std::string all;
        for (const LogRecord& record : records_) {
            all += record.message + "\n";
        }
        return all;
    }

private:
    mutable std::mutex mutex_;
    std::vector<LogRecord> records_;
};

}  // namespace knit::test
