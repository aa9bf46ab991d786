#include "client_connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <system_error>

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

Coro<bool> ClientConnection::exchange(std::string head, const std::string& method, const RequestOptions& options) {
    std::exception_ptr error;
    try {
        Coro<> sending = send(std::move(head), options);
        co_await std::move(sending);
    } catch (const std::system_error&) {
        if (!is_refused_) {
            throw;  // of the function that makes the body
        }
        error = std::current_exception();  // a server that refuses a body may have answered before all of it was sent
    }
    bool has_answer = false;
    try {
        Coro<bool> reading = read_head(method);
        has_answer = co_await std::move(reading);
    } catch (const std::system_error&) {
        error = error != nullptr ? error : std::current_exception();
    }
    if (has_answer) {
        co_return true;
    }
    transport_ = nullptr;
    const bool has_come = has_interim_ || !input_.rest().empty();
    if (is_reused_ && !has_come && !options.stream && is_idempotent(method)) {
        input_ = Input();
        is_cut_ = is_refused_ = false;
        co_return false;
    }
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
    throw ServerProtocolError("the server has closed the connection without an answer");
}

Coro<> ClientConnection::send(std::string head, const RequestOptions& options) {
    if (options.body.size() <= kPiece) {
        head += options.body;
        Coro<> writing = write(head);
        co_await std::move(writing);
    } else {
        Coro<> writing = write(head);
        co_await std::move(writing);
        Coro<> writing_body = write(options.body);
        co_await std::move(writing_body);
    }
    if (options.stream) {
        RequestWriter writer(*this);
        Coro<> streaming = options.stream(writer);
        co_await std::move(streaming);
        Coro<> ending = write("0\r\n\r\n");
        co_await std::move(ending);
    }
}

Coro<> ClientConnection::write(std::string_view bytes) {
    if (is_cut_) {
        throw std::system_error(ECONNABORTED, std::generic_category(),
                                "a write before has failed, was cancelled or is still under way");
    }
    is_cut_ = true;
    try {
        Coro<> writing = transport_->write(bytes);
        co_await std::move(writing);
    } catch (const std::system_error&) {
        is_refused_ = true;
        throw;
    }
    is_cut_ = false;
}

Coro<> ClientConnection::write_chunk(std::string_view bytes) {
    if (bytes.empty()) {
        co_return;
    }
    std::string chunk;
    append_number(chunk, bytes.size(), 16);
    chunk.append("\r\n").append(bytes).append("\r\n");
    Coro<> writing = write(chunk);
    co_await std::move(writing);
}

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
            throw ServerProtocolError("the answer's head is malformed");
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

Coro<bool> ClientConnection::fill() {
    const std::optional<TimePoint> until = read_until(timeout_.read);
    Coro<std::size_t> reading = transport_->read_some(input_.make_room(kPiece));
    std::size_t count = 0;
    if (until) {
        Coro<std::size_t> limited = with_timeout_at(until, std::move(reading));
        count = co_await std::move(limited);
    } else {
        count = co_await std::move(reading);
    }
    input_.grow(count);
    co_return count != 0;
}

Coro<std::string_view> ClientConnection::read_body() {
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
            transport_ = nullptr;
            throw ServerProtocolError("the chunks of the answer's body are malformed");
        }
        if (has_ended) {
            finish();
        }
        if (!piece.empty() || has_ended) {
            co_return piece;
        }
        if (transport_ == nullptr) {
            throw ServerProtocolError("the answer's body was cut off before");
        }
        Coro<bool> filling = fill();
        if (!co_await std::move(filling)) {
            transport_ = nullptr;
            is_done_ = head_.framing == Framing::until_close;
            if (!is_done_) {
                throw ServerProtocolError("the server has closed the connection in the middle of an answer's body");
            }
        }
    }
    co_return std::string_view();
}

Coro<> ClientConnection::drain() {
    std::size_t drained = 0;
    const bool is_little = head_.framing != Framing::until_close && left_ <= kPiece;
    while (!is_done_ && is_little && drained <= kPiece) {
        Coro<std::string_view> reading = read_body();
        const std::string_view piece = co_await std::move(reading);
        drained += piece.size();
    }
    transport_ = nullptr;
    release_permits();
}

/// The answer is whole. Its last piece may still be looked at: the input stays.
void ClientConnection::finish() noexcept {
    is_done_ = true;
    // Bytes behind the answer belong to nothing that was asked.
    if (transport_ != nullptr && head_.keeps_alive && !is_cut_ && input_.rest().empty() &&
        transport_->available() == 0) {
        try {
            session_->put_idle(key_, loop_, std::move(transport_));
        } catch (const std::bad_alloc&) {
            transport_ = nullptr;
        }
    }
    transport_ = nullptr;
    release_permits();
}

}  // namespace knit::http::detail
