/// AccessLog: a line for each request, in Apache's combined format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/time.hpp"

namespace knit::http {

/// What a line tells. The texts are good during the call.
struct AccessRecord {
    std::string_view peer;
    std::string_view method;
    std::string_view target;
    std::string_view referer;
    std::string_view user_agent;
    int status = 0;
    int version_major = 1;
    int version_minor = 1;
    std::uint64_t body_bytes = 0;
    Duration time{};  ///< from the head's last byte to the answer's; a small one's is then still to be sent
};

namespace detail {
class AccessLogCore;
}

/// A log in a file. A request's line goes to memory of its loop; each loop writes its lines about once a second, or
/// when there are many, by a task that no request waits for. A disk that does not follow costs lines, which are counted
/// and told in the log, not requests. Copies are handles to one log.
class AccessLog {
public:
    /// None.
    AccessLog() noexcept = default;
    /// Appends to the file, which is made when it is not there. Cancelled: CancelledError. std::system_error.
    static Coro<AccessLog> open(std::filesystem::path path);

    explicit operator bool() const noexcept { return core_ != nullptr; }
    /// From a loop; nothing when there is no log.
    void add(const AccessRecord& record) const;
    /// Waits until what the current loop has is written. std::system_error when the last write failed.
    Coro<> flush();

private:
    std::shared_ptr<detail::AccessLogCore> core_;
};

}  // namespace knit::http
