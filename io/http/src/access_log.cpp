#include "knit/http/access_log.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <exception>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "knit/io/file.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/runtime.hpp"
#include "knit/shield.hpp"
#include "knit/sleep.hpp"
#include "text.hpp"

namespace knit::http {
namespace detail {
namespace {

constexpr std::size_t kWriteAt = 64 << 10;
constexpr std::size_t kMost = 4 << 20;
constexpr Duration kWait = std::chrono::seconds(1);

/// What a peer has sent stands in the log in a form that neither ends the line nor the quotes.
void append_quoted(std::string& line, std::string_view text) {
    line.push_back('"');
    for (const char letter : text.empty() ? std::string_view("-") : text) {
        const auto code = static_cast<unsigned char>(letter);
        if (code < 0x20 || code >= 0x7f || letter == '"' || letter == '\\') {
            static constexpr char kDigits[] = "0123456789abcdef";
            line.append({'\\', 'x', kDigits[code >> 4], kDigits[code & 15]});
        } else {
            line.push_back(letter);
        }
    }
    line.push_back('"');
}

}  // namespace

/// What one loop has: only that loop touches it.
struct alignas(64) AccessLines {
    std::string lines;
    std::uint64_t lost = 0;
    int flush_count = 0;      ///< calls of flush() under way
    bool is_waiting = false;  ///< `writing` does, for more lines
    io::File file;  ///< its own: a file is used on one loop at a time
    std::time_t second = -1;
    std::string time;  ///< "[06/Nov/1994:08:49:37 +0000]"
    Task<> writing;
    std::exception_ptr error;
};

/// A call of flush().
class Flushing {
public:
    explicit Flushing(AccessLines& lines) noexcept : lines_(lines) { ++lines_.flush_count; }
    Flushing(const Flushing&) = delete;
    Flushing& operator=(const Flushing&) = delete;
    ~Flushing() { --lines_.flush_count; }

private:
    AccessLines& lines_;
};

class AccessLogCore : public std::enable_shared_from_this<AccessLogCore> {
public:
    explicit AccessLogCore(const io::File& file);

    void add(const AccessRecord& record);
    Coro<> flush();

private:
    AccessLines& here() { return loops_[get_running_loop().id()]; }
    Coro<> write_later(std::shared_ptr<AccessLogCore> self, AccessLines& mine);
    Coro<> write(AccessLines& mine);

    std::vector<AccessLines> loops_;
};

AccessLogCore::AccessLogCore(const io::File& file) : loops_(get_runtime().size()) {
    for (AccessLines& each : loops_) {
        knit::detail::Fd copy(fcntl(file.native_handle(), F_DUPFD_CLOEXEC, 3));
        if (copy.get() < 0) {
            throw std::system_error(errno, std::generic_category(), "open the access log");
        }
        each.file = io::File(std::move(copy), "the access log");
    }
}

void AccessLogCore::add(const AccessRecord& record) {
    AccessLines& mine = here();
    if (mine.lines.size() > kMost) {
        ++mine.lost;
        return;
    }
    const std::time_t now = std::time(nullptr);
    if (now != mine.second) {
        const std::string date = format_http_date(now);  // "Sun, 06 Nov 1994 08:49:37 GMT"
        mine.second = now;
        mine.time.assign("[").append(date, 5, 2).append("/").append(date, 8, 3).append("/").append(date, 12, 4);
        mine.time.append(":").append(date, 17, 8).append(" +0000]");
    }
    std::string& line = mine.lines;
    line.append(record.peer.empty() ? "-" : record.peer).append(" - - ").append(mine.time).append(" ");
    std::string request(record.method);  // none: what came was no request
    if (!request.empty()) {
        request.append(" ").append(record.target).append(" HTTP/");
        append_number(request, static_cast<std::uint64_t>(record.version_major));
        request.push_back('.');
        append_number(request, static_cast<std::uint64_t>(record.version_minor));
    }
    append_quoted(line, request);
    line.push_back(' ');
    append_number(line, static_cast<std::uint64_t>(record.status));
    line.push_back(' ');
    append_number(line, record.body_bytes);
    line.push_back(' ');
    append_quoted(line, record.referer);
    line.push_back(' ');
    append_quoted(line, record.user_agent);
    line.push_back(' ');
    append_number(line, static_cast<std::uint64_t>(
                            std::chrono::duration_cast<std::chrono::microseconds>(record.time).count()));
    line.push_back('\n');
    if (!mine.writing.ref() || mine.writing.done()) {
        mine.writing = create_task(write_later(shared_from_this(), mine));
    }
}

/// Ends when there is nothing more, so an idle server has no timer; or when somebody flushes, who writes what there is
/// then. The end of a run cancels it: the rest is written.
Coro<> AccessLogCore::write_later(std::shared_ptr<AccessLogCore>, AccessLines& mine) {
    try {
        while (!mine.lines.empty()) {
            if (mine.lines.size() < kWriteAt && mine.flush_count == 0) {
                mine.is_waiting = true;
                co_await sleep(kWait);
                mine.is_waiting = false;
            }
            Coro<> writing = write(mine);
            co_await std::move(writing);
            if (mine.flush_count != 0) {
                co_return;
            }
        }
        co_return;
    } catch (const CancelledError&) {
        mine.is_waiting = false;  // the rest is written below
    }
    Coro<> writing = write(mine);
    co_await std::move(writing);
}

Coro<> AccessLogCore::write(AccessLines& mine) {
    if (mine.lost != 0) {
        knit::detail::log(LogLevel::warning, "knit: http: the access log has lost " + std::to_string(mine.lost) +
                                                 " lines: the disk does not follow");
        mine.lost = 0;
    }
    std::string lines = std::exchange(mine.lines, {});
    try {
        co_await mine.file.append(lines);
    } catch (const CancelledError&) {
        mine.lines.insert(0, lines);  // the run ends; a line that stands there twice is better than none
        throw;
    } catch (const std::system_error& error) {
        mine.error = std::current_exception();
        mine.lost += static_cast<std::uint64_t>(std::ranges::count(lines, '\n'));
        knit::detail::log(LogLevel::error, std::string("knit: http: the access log: ") + error.what());
    }
}

Coro<> AccessLogCore::flush() {
    AccessLines& mine = here();
    const Flushing flushing(mine);
    while (mine.writing.ref() && !mine.writing.done()) {
        if (mine.is_waiting) {
            mine.writing.cancel();  // no write: of one that is cancelled nobody knows how much stands in the file
        }
        Future<> other = shield(mine.writing);
        try {
            co_await other;
        } catch (const CancelledError&) {
            if (!mine.writing.done()) {
                throw;
            }
        }
    }
    Coro<> rest = write(mine);
    co_await std::move(rest);
    if (mine.error != nullptr) {
        std::rethrow_exception(std::exchange(mine.error, nullptr));
    }
}

}  // namespace detail

Coro<AccessLog> AccessLog::open(std::filesystem::path path) {
    Coro<io::File> opening = io::File::open(std::move(path), O_WRONLY | O_CREAT | O_APPEND, 0644);
    const io::File file = co_await std::move(opening);
    AccessLog log;
    log.core_ = std::make_shared<detail::AccessLogCore>(file);
    co_return log;
}

void AccessLog::add(const AccessRecord& record) const {
    if (core_ != nullptr) {
        core_->add(record);
    }
}

Coro<> AccessLog::flush() {
    if (core_ != nullptr) {
        Coro<> flushing = core_->flush();
        co_await std::move(flushing);
    }
}

}  // namespace knit::http
