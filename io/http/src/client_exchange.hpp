/// ClientExchange: one request and its answer, whichever HTTP they are sent by.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/client.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"
#include "is_a.hpp"
#include "permit.hpp"

namespace knit::http::detail {

/// RFC 9110, 9.2.2: doing it twice is as doing it once.
bool is_idempotent(std::string_view method) noexcept;

/// Where a RequestWriter's pieces go. On the connection's loop.
class RequestSink {
public:
    RequestSink() = default;
    RequestSink(const RequestSink&) = delete;
    RequestSink& operator=(const RequestSink&) = delete;
    virtual ~RequestSink() = default;
    virtual Coro<> write_chunk(std::string_view bytes) = 0;
};

/// What the RequestWriters of one request share, which may be there for longer than the request.
struct UploadSink {
    UploadSink(RequestSink& of, Loop& where) noexcept : sink(&of), loop(where) {}

    RequestSink* sink;  ///< on the loop; null once the function that makes the body has ended
    Loop& loop;
};

class ClientExchange {
public:
    ClientExchange() = default;
    ClientExchange(const ClientExchange&) = delete;
    ClientExchange& operator=(const ClientExchange&) = delete;
    /// A body that is being sent is cancelled, and not waited for.
    virtual ~ClientExchange();

    /// Sends `head`, as HTTP/1.1 has it, and the body, and meanwhile reads the answer's head, interim answers passed
    /// over: a body may still be on its way afterwards.
    /// False: the server has not seen the request, or a connection that had been used before was dead and nothing came;
    /// the request may be sent again.
    virtual Coro<bool> exchange(std::string head, const std::string& method,
                                std::shared_ptr<const RequestOptions> options) = 0;
    virtual Coro<std::string_view> read_body() = 0;
    /// The rest is not wanted: it is read away when it is little and the connection may so be used again.
    virtual Coro<> drain() = 0;

    const Head& head() const noexcept { return head_; }
    void set_permits(Permit first, Permit second) noexcept {
        permit_ = std::move(first);
        host_permit_ = std::move(second);
    }
    /// For another try.
    std::pair<Permit, Permit> take_permits() noexcept { return {std::move(permit_), std::move(host_permit_)}; }
    void set_deadline(std::optional<TimePoint> deadline) noexcept { deadline_ = deadline; }

protected:
    /// Until when to wait for more of an answer; none: for ever.
    std::optional<TimePoint> read_until(Duration limit) const;
    /// Whether a wait until then has ended too early: the limit of reads begins when the request is sent.
    bool is_early(bool is_sending, TimePoint sent_at, Duration limit) const;
    /// A body that takes its time is sent by a task of its own.
    void begin_upload(Coro<> sending);
    Coro<> end_upload();
    void release_permits() noexcept {
        permit_ = Permit();
        host_permit_ = Permit();
    }

    Head head_;
    std::optional<TimePoint> deadline_;  ///< of the body

private:
    Task<> upload_;  ///< while a body is sent that takes its time
    Permit permit_;
    Permit host_permit_;
};

}  // namespace knit::http::detail
