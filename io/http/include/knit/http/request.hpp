/// Request: what a handler is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/coro.hpp"
#include "knit/http/detail/exchange.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/fields.hpp"
#include "knit/io/endpoint.hpp"

namespace knit::http {

namespace detail {
class RouterCore;
}  // namespace detail

/// A request, as long as its handler runs, or the function that makes the answer's body, and no longer: whatever task
/// uses it, they await that. All texts are good until then; those of the head are not copied. Used on the loop of its
/// connection. Of HTTP/1 or HTTP/2, which is the same to a handler.
/// To a task of that loop that they leave alive, and that has read of its body and not to the end, it is there until
/// the task is done: each text is empty then, and a read throws ECANCELED.
class Request {
public:
    Request() = default;
    Request(const Request&) = delete;
    Request& operator=(const Request&) = delete;

    std::string_view method() const noexcept { return head_->method; }
    /// As it was sent.
    std::string_view target() const noexcept { return head_->target; }
    /// The path with each %XX decoded.
    std::string_view path() const noexcept { return path_; }
    std::string_view raw_path() const noexcept { return raw_path_; }
    /// What stands behind the '?', as it was sent.
    std::string_view query_string() const noexcept { return query_; }
    /// A value of the query, decoded; none when the name is not there.
    std::optional<std::string> query(std::string_view name) const;
    const Fields& headers() const noexcept { return head_->fields; }
    /// Empty when there is none.
    std::string_view header(std::string_view name) const noexcept { return head_->fields.get(name); }
    /// A cookie's value; none when it was not sent.
    std::optional<std::string_view> cookie(std::string_view name) const noexcept;
    /// What stands in the path at the route's `{name}`, decoded. LookupError when the route has no such name.
    std::string_view param(std::string_view name) const;
    bool is_http10() const noexcept { return head_->is_http10; }
    bool is_http2() const noexcept { return head_->is_http2; }
    io::Endpoint peer() const { return exchange_->peer(); }

    bool has_body() const noexcept { return head_->framing != detail::Framing::none; }
    /// None for a body whose length was not said.
    std::optional<std::uint64_t> content_length() const noexcept;
    /// The next piece of the body, good until the next call; empty at its end. The peer is not read ahead of that.
    /// HttpError 400 for bad chunks, 408 when the peer is silent for body_timeout; std::system_error when it goes.
    /// Cancelled: CancelledError, and nothing is lost. One task at a time: RuntimeError. A read that is under way when
    /// the handler has ended, or the function that makes the answer's body, ends with ECANCELED, and the loop's
    /// exception handler is told of it, unless the handler has ended by an error.
    Coro<std::string_view> read_some() { return read_piece(exchange_->request_number()); }
    /// The whole body, or what is left of it. HttpError 413 for more than body_max bytes, otherwise as read_some().
    /// Cancelled: CancelledError, and what was read is lost.
    Coro<std::string> text() { return read_text(exchange_->request_number()); }

private:
    friend class detail::Exchange;
    friend class detail::RouterCore;

    // Coroutines of the request, not of what answers: that may have gone before they begin.
    Coro<std::string_view> read_piece(std::uint16_t number);
    Coro<std::string> read_text(std::uint16_t number);
    /// Its texts are gone: each is empty from here on.
    void forget() noexcept;
    /// It is over, and a task is left that may read it yet: an empty one, of what answers that with ECANCELED.
    void retire(const detail::Head& head, detail::Exchange& exchange) noexcept;
    /// Splits the target; false when it is none.
    bool open(const detail::Head& head, detail::Exchange& exchange, std::size_t body_max);

    const detail::Head* head_ = nullptr;
    detail::Exchange* exchange_ = nullptr;
    std::size_t body_max_ = 0;
    std::string_view path_;
    std::string_view raw_path_;
    std::string_view query_;
    std::unique_ptr<const std::string> decoded_;  ///< what path_ is of, when that had a %
    std::vector<std::pair<std::string_view, std::string_view>> params_;
    std::shared_ptr<detail::RequestReaders> readers_;  ///< none: its handler's task alone has read it
};

}  // namespace knit::http
