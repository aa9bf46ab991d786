/// ClientResponse: an answer, whose body is still to be read.
#pragma once

#include <concepts>
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
class SessionCore;
struct UploadSink;

/// From any loop; goes on on the request's.
Coro<> write_upload(std::shared_ptr<UploadSink> sink, std::string_view bytes);
Coro<> write_upload_owned(std::shared_ptr<UploadSink> sink, std::string bytes);
}  // namespace detail

/// Where a streamed request's body goes. Copies are handles to one body, which ends with the function that was given to
/// RequestOptions::stream: writes throw ECANCELED from then on. A write that is under way at that end is an error.
class RequestWriter {
public:
    /// knit's own use.
    explicit RequestWriter(std::shared_ptr<detail::UploadSink> sink) noexcept : sink_(std::move(sink)) {}
    /// Sends a piece, which has to stay until the await is over (that of a std::string that is moved in is kept); waits
    /// while the server takes no more. From any loop; resumes on that of the request. Throws std::system_error when the
    /// server has gone. Cancelled: CancelledError, and the request cannot go on.
    Coro<> write(std::string_view bytes) { return detail::write_upload(sink_, bytes); }
    template <std::same_as<std::string> T>
    Coro<> write(T&& bytes) {
        return detail::write_upload_owned(sink_, std::move(bytes));
    }
    template <std::size_t N>
    Coro<> write(char (&buffer)[N]) = delete;  // say string_view(buffer, size)

private:
    std::shared_ptr<detail::UploadSink> sink_;
};

/// Move-only. Once its body has been read its connection goes back to the pool; destroyed before, it is closed, or with
/// HTTP/2 the stream is reset. Used by one task at a time, on the loop of its request: a read of an answer of HTTP/2
/// goes on there, wherever it was called, and either kind may be destroyed on any thread.
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
    const Fields& headers() const&;
    const Fields& headers() const&& = delete;  // keep the ClientResponse
    /// Empty when there is none.
    std::string_view header(std::string_view name) const& { return headers().get(name); }
    std::string_view header(std::string_view name) const&& = delete;  // keep the ClientResponse
    /// Where the answer came from, after redirects.
    const Url& url() const& noexcept { return url_; }
    const Url& url() const&& = delete;  // keep the ClientResponse
    int redirect_count() const noexcept { return redirects_; }
    /// ResponseError for a status of 400 or more. Gives the answer back.
    const ClientResponse& raise_for_status() const&;
    ClientResponse raise_for_status() &&;

    /// The next piece of the body, good until the next call; empty at its end. ServerProtocolError when the connection
    /// ends before that or sends bad chunks, TimeoutError. Cancelled: CancelledError, and nothing is lost.
    Coro<std::string_view> read_some() &;
    Coro<std::string_view> read_some() && = delete;  // keep the ClientResponse
    /// The whole body, or what is left of it. BodyTooLarge for more than `most` bytes; otherwise as read_some(). Of a
    /// temporary: keeps it.
    Coro<std::string> text(std::size_t most = std::numeric_limits<std::size_t>::max()) &;
    Coro<std::string> text(std::size_t most = std::numeric_limits<std::size_t>::max()) &&;

private:
    static Coro<std::string> text_of(ClientResponse response, std::size_t most);
    detail::ClientExchange& exchange() const;

    std::unique_ptr<detail::ClientExchange> exchange_;
    Url url_;
    int redirects_ = 0;
};

}  // namespace knit::http
