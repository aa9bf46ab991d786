#include "client_connection.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <system_error>

#include "knit/as_result.hpp"
#include "knit/error.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/error.hpp"
#include "knit/timeout.hpp"
#include "proxy.hpp"
#include "text.hpp"

namespace knit::http::detail {
namespace {

constexpr HeadLimits kLimits{.line_max = 16 << 10, .size_max = 128 << 10, .count_max = 1000};

Coro<> connect_tunnel(io::TcpStream& stream, const Url& url, const Url& proxy) {
    const std::string target = (url.host().find(':') == std::string::npos ? url.host() : "[" + url.host() + "]") + ":" +
                               std::to_string(url.port());
    std::string request = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n";
    if (!proxy.user().empty()) {
        request += "Proxy-Authorization: " + basic_credentials(proxy.user()) + "\r\n";
    }
    request += "\r\n";
    co_await stream.write(request);
    std::string answer;
    HeadScan scan;
    for (int found = 0; found != 200;) {
        // Byte by byte: what follows the head is TLS's.
        char byte = 0;
        const std::size_t count = co_await stream.read_some(std::span(&byte, 1));
        answer.push_back(byte);
        found = count == 0 ? 400 : scan.scan(answer, kLimits);
        if (found != 0 && found != 200) {
            throw ServerProtocolError("the proxy " + proxy.origin() + " does not answer CONNECT");
        }
    }
    Head head;
    if (!read_response_head(answer, "CONNECT", head) || head.status / 100 != 2) {
        throw ServerProtocolError("the proxy " + proxy.origin() + " refuses to connect to " + target + ": " +
                                  std::to_string(head.status));
    }
}

}  // namespace

Coro<std::unique_ptr<Transport>> open_transport(Url url, std::optional<Url> proxy, const tls::Context* context,
                                                Duration limit, std::string_view alpn) {
    const Url& first = proxy ? *proxy : url;
    if (proxy && proxy->is_secure()) {
        throw ClientError("the proxy " + proxy->origin() + " is to be spoken to over TLS, which is not done here: say "
                          "http:// for it");
    }
    Coro<io::TcpStream> connecting = io::TcpStream::connect(io::Endpoint(first.host(), first.port()));
    io::TcpStream stream = co_await std::move(connecting);
    if (!url.is_secure()) {
        co_return std::make_unique<TransportOf<io::TcpStream>>(std::move(stream));
    }
    if (proxy) {
        Coro<> tunnel = connect_tunnel(stream, url, *proxy);
        co_await std::move(tunnel);
    }
    Coro<std::unique_ptr<Transport>> securing = secure(std::move(stream), url, context, limit, alpn);
    co_return co_await std::move(securing);
}

// The request.

Coro<bool> ClientConnection::exchange(std::string head, const std::string& method,
                                      std::shared_ptr<const RequestOptions> options) {
    const bool is_repeatable = !options->stream && is_idempotent(method);
    const bool is_small = !options->stream && options->body.size() <= kPiece;
    Coro<> sending = send(wire_, std::move(head), std::move(options));
    if (is_small) {
        co_await std::move(sending);
    } else {
        begin_upload(std::move(sending));
    }
    const Result<bool> read = co_await as_result(read_head(method));
    if (read && read.value()) {
        if (is_done_) {
            Coro<> ending = end_upload();
            co_await std::move(ending);
        }
        co_return true;
    }
    const std::shared_ptr<Wire> wire = std::exchange(wire_, nullptr);
    const std::exception_ptr body_error = wire->body_error;  // not what comes of being cancelled now
    Coro<> ending = end_upload();
    co_await std::move(ending);
    if (!read && is_a<CancelledError>(read.error())) {
        read.rethrow();
    }
    if (body_error != nullptr) {
        std::rethrow_exception(body_error);
    }
    const bool is_lost = read || is_a<std::system_error>(read.error());
    if (is_lost && is_reused_ && is_repeatable && !has_interim_ && input_.rest().empty()) {
        input_ = Input();
        co_return false;
    }
    if (is_lost && wire->write_error != nullptr) {
        std::rethrow_exception(wire->write_error);
    }
    if (!read) {
        read.rethrow();
    }
    throw ServerProtocolError("the server has closed the connection without an answer");
}

/// Throws its own cancellation only: an answer may have come whatever has become of the request.
Coro<> ClientConnection::send(std::shared_ptr<Wire> wire, std::string head,
                              std::shared_ptr<const RequestOptions> options) {
    std::exception_ptr error;
    try {
        Coro<> sending = send_body(*wire, std::move(head), *options);
        co_await std::move(sending);
    } catch (...) {
        error = std::current_exception();
    }
    if (error != nullptr && is_a<CancelledError>(error) && current_task()->cancelling() != 0) {
        std::rethrow_exception(error);
    }
    if (error != nullptr && wire->write_error == nullptr) {
        wire->body_error = error;
        wire->is_cut = true;
        wire->transport->close();  // the server waits for the rest, and we for the server
    }
    wire->is_sending = false;
    wire->sent_at = std::chrono::steady_clock::now();
}

Coro<> ClientConnection::send_body(Wire& wire, std::string head, const RequestOptions& options) {
    if (options.body.size() <= kPiece) {
        head += options.body;
        Coro<> writing = wire.write(head);
        co_await std::move(writing);
    } else {
        Coro<> writing = wire.write(head);
        co_await std::move(writing);
        Coro<> writing_body = wire.write(options.body);
        co_await std::move(writing_body);
    }
    if (options.stream) {
        Coro<> streaming = stream_body(wire, options);
        co_await std::move(streaming);
    }
}

/// Ends on the connection's loop, whatever becomes of it.
Coro<> ClientConnection::stream_body(Wire& wire, const RequestOptions& options) {
    const auto sink = std::make_shared<UploadSink>(wire, wire.loop);
    std::exception_ptr error;
    try {
        RequestWriter writer(sink);
        Coro<> streaming = options.stream(writer);
        co_await std::move(streaming);
        co_await resume_on(wire.loop);
    } catch (...) {
        error = std::current_exception();
    }
    co_await come_home(wire.loop);
    sink->sink = nullptr;
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    Coro<> ending = wire.write("0\r\n\r\n");
    co_await std::move(ending);
}

Coro<> Wire::write(std::string_view bytes) {
    if (is_cut) {
        throw std::system_error(ECONNABORTED, std::generic_category(),
                                "a write before has failed, was cancelled or is still under way");
    }
    is_cut = true;
    try {
        Coro<> writing = transport->write(bytes);
        co_await std::move(writing);
    } catch (const std::system_error&) {
        write_error = std::current_exception();
        throw;
    }
    is_cut = false;
}

Coro<> Wire::write_chunk(std::string_view bytes) {
    const std::shared_ptr<Wire> self = shared_from_this();  // the function may end while another task of it is in here
    std::string chunk;
    append_number(chunk, bytes.size(), 16);
    chunk.append("\r\n").append(bytes).append("\r\n");
    Coro<> writing = write(chunk);
    co_await std::move(writing);
}

// The answer.

/// False when the connection ends before the first byte.
Coro<bool> ClientConnection::read_head(const std::string& method) {
    HeadScan scan;
    for (;;) {
        const int found = scan.scan(input_.rest(), kLimits);
        if (found == 0) {
            Coro<bool> filling = fill();
            if (co_await std::move(filling)) {
                continue;
            }
            if (input_.rest().empty()) {
                co_return false;
            }
            throw ServerProtocolError("the server has closed the connection in the middle of an answer's head");
        }
        if (found != 200) {
            throw ServerProtocolError("the answer's head is malformed or too large");
        }
        head_text_ = input_.rest().substr(scan.begin(), scan.size() - scan.begin());
        input_.consume(scan.size());
        scan.reset();
        if (!read_response_head(head_text_, method, head_)) {
            throw ServerProtocolError("the answer's head is malformed, or says the body's length twice "
                                      "(Content-Length, Transfer-Encoding)");
        }
        if (head_.status == 101) {
            throw ServerProtocolError("the server changes the protocol unasked");
        }
        if (head_.status >= 200) {
            break;
        }
        has_interim_ = true;
    }
    left_ = head_.length;
    if (head_.framing == Framing::none) {
        finish();
    }
    co_return true;
}

/// The read timeout begins when the request is sent.
Coro<bool> ClientConnection::fill() {
    const std::shared_ptr<Wire> wire = wire_;
    for (;;) {
        const std::optional<TimePoint> until = read_until(timeout_.read);
        Coro<std::size_t> reading = wire->transport->read_some(input_.make_room(kPiece));
        try {
            const std::size_t count = co_await with_timeout_at(until, std::move(reading));
            input_.grow(count);
            co_return count != 0;
        } catch (const TimeoutError&) {
            if (!is_early(wire->is_sending, wire->sent_at, timeout_.read)) {
                throw;
            }
        } catch (const std::system_error&) {
            if (wire->body_error == nullptr) {
                throw;
            }
            std::rethrow_exception(wire->body_error);
        }
    }
}

Coro<std::string_view> ClientConnection::read_body() {
    Coro<std::string_view> reading = read_piece();
    const std::string_view piece = co_await std::move(reading);
    if (is_done_) {
        Coro<> ending = end_upload();
        co_await std::move(ending);
    }
    co_return piece;
}

Coro<std::string_view> ClientConnection::read_piece() {
    while (!is_done_) {
        std::string_view rest = input_.rest();
        std::string_view piece = rest;
        bool has_ended = false;
        if (head_.framing == Framing::chunked) {
            piece = chunks_.next(rest);
            has_ended = chunks_.is_done();
            input_.consume(input_.rest().size() - rest.size());
        } else {
            const bool is_sized = head_.framing == Framing::sized;
            const std::uint64_t most = is_sized ? left_ : rest.size();
            piece = rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(most, rest.size())));
            left_ -= is_sized ? piece.size() : 0;
            has_ended = is_sized && left_ == 0;
            input_.consume(piece.size());
        }
        if (chunks_.is_bad()) {
            wire_ = nullptr;
            throw ServerProtocolError("the chunks of the answer's body are malformed");
        }
        if (has_ended) {
            finish();
        }
        if (!piece.empty() || has_ended) {
            co_return piece;
        }
        if (wire_ == nullptr) {
            throw ServerProtocolError("the answer's body was cut off before");
        }
        Coro<bool> filling = fill();
        if (!co_await std::move(filling)) {
            wire_ = nullptr;
            is_done_ = head_.framing == Framing::until_close;
            if (!is_done_) {
                throw ServerProtocolError("the server has closed the connection in the middle of an answer's body");
            }
        }
    }
    co_return std::string_view();
}

/// A server that promises more than it sends is none of the caller's business, nor is one that is slow.
Coro<> ClientConnection::drain() {
    constexpr Duration kPatience = std::chrono::seconds(1);
    try {
        Coro<> reading = read_away();
        co_await with_timeout(std::optional<Duration>(kPatience), std::move(reading));
    } catch (const std::exception&) {
        wire_ = nullptr;
    }
    wire_ = nullptr;
    release_permits();
    Coro<> ending = end_upload();
    co_await std::move(ending);
}

Coro<> ClientConnection::read_away() {
    std::size_t drained = 0;
    const bool is_little = head_.framing != Framing::until_close && left_ <= kPiece;
    while (!is_done_ && is_little && drained <= kPiece) {
        Coro<std::string_view> reading = read_piece();
        const std::string_view piece = co_await std::move(reading);
        drained += piece.size();
    }
}

/// The answer is whole. Its last piece may still be looked at: the input stays.
void ClientConnection::finish() noexcept {
    is_done_ = true;
    // Bytes behind the answer belong to nothing that was asked.
    const bool is_sent = wire_ != nullptr && !wire_->is_cut && !wire_->is_sending;
    if (is_sent && head_.keeps_alive && input_.rest().empty() && wire_->transport->available() == 0) {
        try {
            session_->put_idle(key_, loop_, std::move(wire_->transport));
        } catch (const std::bad_alloc&) {
            wire_ = nullptr;
        }
    }
    wire_ = nullptr;
    release_permits();
}

}  // namespace knit::http::detail
