// H2ServerStream: the request.

#include "server_stream.hpp"

#include <algorithm>
#include <new>
#include <utility>

#include "../text.hpp"
#include "knit/error.hpp"
#include "knit/http/error.hpp"
#include "knit/loop.hpp"
#include "running.hpp"
#include "server.hpp"

namespace knit::http::detail {
namespace {

/// nghttp2 looks at the path of http and https alone, and Request::open() would take a whole URL for one.
bool is_path(std::string_view target, std::string_view scheme, std::string_view method) noexcept {
    const bool is_known = equals_ignoring_case(scheme, "http") || equals_ignoring_case(scheme, "https");
    return method == "CONNECT" || (is_known && (target.starts_with('/') || (target == "*" && method == "OPTIONS")));
}

}  // namespace

H2Session& H2ServerStream::server_session(H2Server& server) noexcept { return server; }

// The head. nghttp2 has looked at it: pseudo fields in their place, no capitals, no fields of a connection, one length.

void H2ServerStream::take_field(std::string_view name, std::string_view value) {
    constexpr std::size_t kEach = 32;    // RFC 9113, 6.5.2
    constexpr std::size_t kEndless = 16;  // a few bytes can name a field of thousands, again and again
    const HeadLimits& limits = server_.core().limits;
    head_size_ += name.size() + value.size() + kEach;
    if (head_size_ > kEndless * limits.size_max) {
        server_.head_is_endless();
    }
    if (has_head_ || refusal_ != 0) {
        return;  // a trailer is passed over, as HTTP/1.1's are
    }
    if (name == ":path" && value.size() > limits.line_max) {
        refusal_ = 414;
    } else if (head_size_ > limits.size_max || text_.size() >= limits.count_max + 4) {
        refusal_ = 431;
    } else if (name == "cookie") {
        cookies_.append(cookies_.empty() ? "" : "; ").append(value);  // in pieces, for the sake of compression
    } else {
        text_.add(name, value);
    }
}

void H2ServerStream::build_head() {
    std::string_view authority;
    std::string_view scheme;
    text_.each([&](std::string_view name, std::string_view value) {
        if (!name.starts_with(':')) {
            head_.fields.add(name);
            head_.fields.last().value = trim(value);
        } else if (name == ":method") {
            head_.method = value;
        } else if (name == ":path") {
            head_.target = value;
        } else if (name == ":authority") {
            authority = value;
        } else if (name == ":scheme") {
            scheme = value;
        }
    });
    const auto add = [this](std::string_view name, std::string_view value) {
        head_.fields.add(name);
        head_.fields.last().value = value;
    };
    if (head_.method == "CONNECT") {
        head_.target = authority;
    }
    if (!cookies_.empty()) {
        add("cookie", cookies_);
    }
    const auto host = head_.fields.find("host");
    const bool is_contradiction = host && !authority.empty() && !equals_ignoring_case(*host, authority);
    if (!host) {
        add("host", authority);
    }
    const bool is_good = is_token(head_.method) && is_target(head_.target) &&
                         is_path(head_.target, scheme, head_.method) && !is_contradiction &&
                         kHost.has_all(head_.fields.get("host"));
    refusal_ = refusal_ != 0 || is_good ? refusal_ : 400;
}

void H2ServerStream::end_fields() {
    if (std::exchange(has_head_, true)) {
        return;
    }
    if (server_.core().router->log) {
        began_ = server_.now();
    }
    build_head();
    head_.is_http2 = true;
    head_.keeps_alive = true;
    const auto length = head_.fields.find("content-length");
    head_.length = length ? to_number(*length).value_or(0) : 0;
    head_.framing = has_peer_ended()                ? Framing::none
                    : !length                       ? Framing::chunked
                    : head_.length != 0             ? Framing::sized
                                                    : Framing::none;
    owes_continue_ = head_.framing != Framing::none && equals_ignoring_case(head_.fields.get("expect"), "100-continue");
    if (!open(*request_, head_, server_.core().options.body_max) && refusal_ == 0) {
        refusal_ = 400;
    }
    create_task(run(Running(*this)));
}

/// A client that is answered need not send the rest of its body (RFC 9113, 8.1).
void H2ServerStream::sent_end() noexcept {
    if (!has_peer_ended()) {
        linger();
    }
}

/// It may be gone afterwards.
void H2ServerStream::closed(std::uint32_t error_code) noexcept {
    H2Stream::closed(error_code);
    if (task_ && !is_answered_) {
        cancel_task();
    }
    delete_unless_kept();
}

void H2ServerStream::delete_unless_kept() noexcept {
    if (is_closed() && !has_task_ && use_count_ == 0) {
        delete this;
    }
}

void H2ServerStream::cancel_task() noexcept {
    try {
        task_.cancel("the HTTP/2 stream was reset by its peer");
    } catch (const std::bad_alloc&) {
        try {
            task_.cancel();
        } catch (const std::bad_alloc&) {  // on another loop: it goes on until it ends
        }
    }
}

// The body.

Coro<std::string_view> H2ServerStream::read_body(std::uint16_t) {
    co_await resume_on(server_.loop());
    const Using here(*this);
    const bool is_other = task_ && server_.loop().worker().current_task() != task_.ref().get();
    if (is_other) {
        note_reader(*request_, server_.loop());
    }
    if (std::exchange(owes_continue_, false) && !is_closed() && has_task_) {
        H2Fields& fields = server_.fields();
        fields.clear();
        fields.add(":status", "100");
        const auto& list = fields.list();
        nghttp2_submit_headers(server_.handle(), NGHTTP2_FLAG_NONE, id(), nullptr, list.data(), list.size(), nullptr);
        server_.wake_writer();
    }
    Coro<std::string_view> reading = read(server_.core().options.body_timeout);
    const std::string_view piece = co_await std::move(reading);
    if (is_other && piece.empty()) {
        note_reader_end(*request_, server_.loop());
    }
    co_return piece;
}

void H2ServerStream::throw_late() { throw HttpError(408); }

io::Endpoint H2ServerStream::peer() const { return server_.peer(); }

}  // namespace knit::http::detail
