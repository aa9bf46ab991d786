/// ClientResponse: an answer, whose body is still to be read.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/fields.hpp"
#include "knit/http/url.hpp"

namespace knit::http {

namespace detail {
class ClientExchange;
class RequestSink;
class SessionCore;
}  // namespace detail

/// Where a streamed request's body goes.
class RequestWriter {
public:
    /// knit's own use.
    explicit RequestWriter(detail::RequestSink& sink) noexcept : sink_(&sink) {}
    /// Sends a piece; waits while the server takes no more. From any loop; resumes on that of the request. Throws
    /// std::system_error when the server has gone. Cancelled: CancelledError, and the request cannot go on.
    Coro<> write(std::string_view bytes);

private:
    detail::RequestSink* sink_;
};

/// Move-only. Once its body has been read its connection goes back to the pool; destroyed before, it is closed, or with
/// HTTP/2 the stream is reset. Used on the loop of its request, by one task at a time.
class ClientResponse {
public:
    ClientResponse() noexcept;
    /// knit's own use.
    ClientResponse(std::unique_ptr<detail::ClientExchange> exchange, Url url, int redirects) noexcept;
    ClientResponse(ClientResponse&&) noexcept;
    ClientResponse& operator=(ClientResponse&&) noexcept;
    ~ClientResponse();

    // RuntimeError where there is no answer, as after a move.

    int status() const;
    /// Whether the status is below 400.
    bool ok() const { return status() < 400; }
    bool is_http2() const;
    const Fields& headers() const;
    /// Empty when there is none.
    std::string_view header(std::string_view name) const { return headers().get(name); }
    /// Where the answer came from, after redirects.
    const Url& url() const noexcept { return url_; }
    int redirect_count() const noexcept { return redirects_; }
    /// ResponseError for a status of 400 or more. Gives the answer back.
    const ClientResponse& raise_for_status() const;

    /// The next piece of the body, good until the next call; empty at its end. ServerProtocolError when the connection
    /// ends before that or sends bad chunks, TimeoutError. Cancelled: CancelledError, and nothing is lost.
    Coro<std::string_view> read_some();
    /// The whole body, or what is left of it. BodyTooLarge for more than `most` bytes; otherwise as read_some().
    Coro<std::string> text(std::size_t most = std::numeric_limits<std::size_t>::max());

private:
    detail::ClientExchange& exchange() const;

    std::unique_ptr<detail::ClientExchange> exchange_;
    Url url_;
    int redirects_ = 0;
};

}  // namespace knit::http
