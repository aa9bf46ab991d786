#include "knit/http/websocket.hpp"

#include <exception>

#include "knit/error.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/detail/home.hpp"
#include "knit/http/error.hpp"
#include "knit/sleep.hpp"
#include "knit/task.hpp"
#include "knit/timeout.hpp"
#include "proxy.hpp"
#include "text.hpp"
#include "transport.hpp"
#include "utf8.hpp"
#include "websocket_codec.hpp"

namespace knit::http {

using detail::WebSocketCore;

namespace {
constexpr std::string_view kVersion = "13";
constexpr std::size_t kControlMax = 125;
}  // namespace

WebSocket& WebSocket::operator=(WebSocket&& other) noexcept {
    if (this != &other) {
        leave();
        core_ = std::move(other.core_);
    }
    return *this;
}

WebSocket::~WebSocket() { leave(); }

void WebSocket::leave() noexcept {
    if (core_ != nullptr) {
        core_->leave();
    }
}

WebSocketCore& WebSocket::core() const {
    if (core_ == nullptr) {
        throw RuntimeError("there is no WebSocket: it was moved from, or never connected");
    }
    return *core_;
}

void WebSocket::abort() noexcept {
    if (core_ != nullptr) {
        core_->abort();
    }
}

Coro<WebSocketMessage> WebSocket::receive() { return WebSocketCore::receive(core().shared_from_this()); }

Coro<std::optional<WebSocketMessage>> WebSocket::next() {
    Coro<WebSocketMessage> receiving = receive();
    WebSocketMessage message = co_await std::move(receiving);
    std::optional<WebSocketMessage> given;
    if (!message.is_close()) {
        given.emplace(std::move(message));
    }
    co_return given;
}

namespace {

void check_text(std::string_view text) {
    if (!detail::is_utf8(text)) {
        throw ValueError("a WebSocket's text has to be UTF-8: use send_binary() for other bytes");
    }
}

}  // namespace

Coro<> WebSocket::send_text(std::string_view text) {
    check_text(text);
    return WebSocketCore::send(core().shared_from_this(), detail::kText, text);
}

Coro<> WebSocket::send_text_owned(std::string text) {
    check_text(text);
    return WebSocketCore::send_owned(core().shared_from_this(), detail::kText, std::move(text));
}

Coro<> WebSocket::send_binary(std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return WebSocketCore::send(core().shared_from_this(), detail::kBinary, text);
}

Coro<> WebSocket::send_binary_owned(std::string bytes) {
    return WebSocketCore::send_owned(core().shared_from_this(), detail::kBinary, std::move(bytes));
}

Coro<> WebSocket::ping(std::string_view payload) {
    if (payload.size() > kControlMax) {
        throw ValueError("a ping has at most 125 bytes");
    }
    return WebSocketCore::send(core().shared_from_this(), detail::kPing, payload);
}

Coro<> WebSocket::close(int code, std::string reason) {
    if (!detail::is_close_code(code)) {
        throw ValueError(std::to_string(code) +
                         " is no code to close a WebSocket with: 1000 says that all is done, "
                         "3000 to 4999 are the program's own");
    }
    if (reason.size() > kControlMax - 2 || !detail::is_utf8(reason)) {
        throw ValueError("the reason for closing a WebSocket is UTF-8 of at most 123 bytes");
    }
    return WebSocketCore::close(core().shared_from_this(), code, std::move(reason));
}

// The server's side.

namespace {

std::string join(const std::vector<std::string_view>& values) {
    std::string text;
    for (const std::string_view value : values) {
        text.append(text.empty() ? "" : ",").append(value);
    }
    return text;
}

/// The handler, and whatever it leaves undone. A peer that breaks the rules or goes away is no error of the handler's,
/// though it may end by one.
Coro<> run_websocket(std::shared_ptr<std::function<Coro<>(WebSocket&)>> handler, WebSocketCore::Ref core) {
    Coro<> finishing = WebSocketCore::finish(core);  // made before: the connection must not go first without memory
    std::exception_ptr error;
    int code = 1000;
    {
        WebSocket socket(core);
        try {
            Coro<> body = (*handler)(socket);
            co_await std::move(body);
        } catch (const CancelledError&) {
            error = std::current_exception();
            code = 1001;  // the server goes away
        } catch (...) {
            error = std::current_exception();
            code = 1011;
        }
        co_await detail::come_home(core->loop());  // where all is that a WebSocket knows
        if (error != nullptr && core->is_peers_fault(error)) {
            error = nullptr;
        }
        if (current_task()->cancelling() != 0) {
            try {
                co_await yield();  // throws what has come on the way, so that a good-bye can be said
            } catch (const CancelledError&) {
                error = std::current_exception();
                code = 1001;
            }
        }
        try {
            Coro<> closing = WebSocketCore::close(core, code, {});  // the handler may have moved `socket` away
            co_await std::move(closing);
        } catch (const CancelledError&) {
            error = std::current_exception();
        } catch (...) {
            error = error != nullptr ? error : std::current_exception();
        }
    }
    co_await std::move(finishing);
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

}  // namespace

Response websocket(const Request& request, std::function<Coro<>(WebSocket&)> handler, WebSocketOptions options) {
    const Fields& fields = request.headers();
    if (request.method() != "GET" || request.is_http10() || !fields.has_token("Upgrade", "websocket") ||
        !fields.has_token("Connection", "upgrade")) {
        return Response(426, "This is a WebSocket: ask for an upgrade.\n").header("Upgrade", "websocket");
    }
    if (fields.get("Sec-WebSocket-Version") != kVersion) {
        return Response(426, "WebSocket version 13 is spoken here.\n").header("Sec-WebSocket-Version", kVersion);
    }
    const std::vector<std::string_view> keys = fields.get_all("Sec-WebSocket-Key");
    if (keys.size() != 1 || !is_websocket_key(keys.front())) {
        throw HttpError(400, "Sec-WebSocket-Key is 16 bytes in base64, once.\n");
    }
    if (request.has_body()) {
        throw HttpError(400, "A WebSocket's handshake has no body: its bytes would be read as frames.\n");
    }
    std::optional<DeflateParameters> deflate;
    if (options.compress) {
        deflate = choose_deflate(join(fields.get_all("Sec-WebSocket-Extensions")));
    }
    const std::string protocol = choose_protocol(options.protocols, join(fields.get_all("Sec-WebSocket-Protocol")));
    auto shared = std::make_shared<std::function<Coro<>(WebSocket&)>>(std::move(handler));
    Response response = Response::upgrade([shared, options, deflate, protocol](UpgradedStream stream) {
        const UpgradedStream lower = stream;
        auto core = std::make_shared<detail::WebSocketCoreOf<UpgradedStream>>(std::move(stream), WebSocketRole::server,
                                                                              options, "", deflate);
        core->protocol = protocol;
        lower.when_closing([watched = std::weak_ptr<WebSocketCore>(core)] {
            if (const WebSocketCore::Ref going = watched.lock()) {
                going->go_away();
            }
        });
        return run_websocket(shared, WebSocketCore::start(std::move(core)));
    });
    response.header("Upgrade", "websocket").header("Sec-WebSocket-Accept", websocket_accept(keys.front()));
    if (deflate) {
        response.header("Sec-WebSocket-Extensions", deflate_answer(*deflate));
    }
    if (!protocol.empty()) {
        response.header("Sec-WebSocket-Protocol", protocol);
    }
    return response;
}

// The client's.

namespace {

/// A Transport as a ByteStream.
class TransportStream {
public:
    explicit TransportStream(std::unique_ptr<detail::Transport> transport) noexcept
        : transport_(std::move(transport)) {}
    Coro<std::size_t> read_some(std::span<std::byte> buffer) { return transport_->read_some(buffer); }
    Coro<> write(std::span<const std::byte> bytes) {
        return transport_->write({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    void shutdown() noexcept {}  // both close frames have been sent: nothing follows
    void close() noexcept { transport_->close(); }

private:
    std::unique_ptr<detail::Transport> transport_;
};

Url url_of(std::string_view text) {
    for (const auto& [ours, https] : {std::pair("ws:", "http:"), std::pair("wss:", "https:")}) {
        if (equals_ignoring_case(text.substr(0, text.find(':') + 1), ours)) {
            return Url(https + std::string(text.substr(std::string_view(ours).size())));
        }
    }
    throw InvalidUrl("a WebSocket's URL begins with ws:// or wss://, not as " + std::string(text));
}

/// The program's own fields, and what the URL says of the user.
void append_headers(std::string& text, const Url& url, const WebSocketHeaders& headers) {
    bool is_authorized = url.user().empty();
    for (const auto& [name, value] : headers) {
        const bool is_own = equals_ignoring_case(name, "Host") || equals_ignoring_case(name, "Upgrade") ||
                            equals_ignoring_case(name, "Connection") || equals_ignoring_case(name, "Content-Length") ||
                            equals_ignoring_case(name, "Transfer-Encoding") ||
                            equals_ignoring_case(name.substr(0, 14), "Sec-WebSocket-");
        if (is_own || !detail::is_token(name) || !detail::is_field_value(value)) {
            throw ValueError("\"" + name + "\" is no header field that a WebSocket's handshake can be given" +
                             (is_own ? ": it is said by the handshake itself" : ""));
        }
        is_authorized = is_authorized || equals_ignoring_case(name, "Authorization");
        text.append(name).append(": ").append(value).append("\r\n");
    }
    if (!is_authorized) {
        text.append("Authorization: ").append(detail::basic_credentials(url.user())).append("\r\n");
    }
}

std::string make_request(const Url& url, const std::string& key, const WebSocketOptions& options,
                         const WebSocketHeaders& headers) {
    std::string text =
        "GET " + url.target() + " HTTP/1.1\r\nHost: " + url.authority() +
        "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: " + std::string(kVersion) +
        "\r\nSec-WebSocket-Key: " + key + "\r\n";
    append_headers(text, url, headers);
    if (options.compress) {
        text += "Sec-WebSocket-Extensions: " + std::string(deflate_offer()) + "\r\n";
    }
    if (!options.protocols.empty()) {
        if (!detail::is_field_value(options.protocols)) {
            throw ValueError("WebSocketOptions::protocols is a list of names with commas between them");
        }
        text += "Sec-WebSocket-Protocol: " + std::string(options.protocols) + "\r\n";
    }
    return text + "\r\n";
}

[[noreturn]] void refuse(const Url& url, const std::string& what) {
    throw ServerProtocolError("no WebSocket at " + url.to_string() + ": " + what);
}

/// Checks the answer; gives its parameters and protocol.
std::pair<std::optional<DeflateParameters>, std::string> read_answer(const detail::Head& head, const Url& url,
                                                                     const std::string& key,
                                                                     const WebSocketOptions& options) {
    if (head.status != 101) {
        refuse(url, "the server answers " + std::to_string(head.status) + " " + std::string(reason_of(head.status)));
    }
    const Fields& fields = head.fields;
    if (!fields.has_token("Upgrade", "websocket") || !fields.has_token("Connection", "upgrade") ||
        fields.get("Sec-WebSocket-Accept") != websocket_accept(key)) {
        refuse(url, "the server's answer is not that of a WebSocket to this request");
    }
    std::string protocol(fields.get("Sec-WebSocket-Protocol"));
    if (!protocol.empty() && choose_protocol(protocol, options.protocols).empty()) {
        refuse(url, "the server speaks \"" + protocol + "\", which was not offered");
    }
    const std::string extensions = join(fields.get_all("Sec-WebSocket-Extensions"));
    if (!options.compress && !extensions.empty()) {
        refuse(url, "the server uses an extension that was not offered");
    }
    try {
        return {read_deflate(extensions), std::move(protocol)};
    } catch (const ValueError& error) {
        refuse(url, error.what());
    }
}

/// Reads the answer's bytes until its head is there, interim answers passed over; what is left are frames.
Coro<detail::Head> read_answer_head(detail::Transport& transport, const Url& url, std::string& head_text,
                                    std::string& rest) {
    constexpr int kSwitching = 101;
    detail::HeadScan scan;
    for (;;) {
        const int found = scan.scan(rest, {});
        if (found == 0) {
            std::byte buffer[1024];
            Coro<std::size_t> reading = transport.read_some(buffer);
            const std::size_t count = co_await std::move(reading);
            if (count == 0) {
                refuse(url, "the server has ended the connection");
            }
            rest.append(reinterpret_cast<const char*>(buffer), count);
            continue;
        }
        head_text = rest.substr(scan.begin(), scan.size() - scan.begin());
        rest.erase(0, scan.size());
        scan.reset();
        detail::Head head;
        if (found != 200 || !detail::read_response_head(head_text, "GET", head)) {
            refuse(url, "the server's answer is no HTTP");
        }
        if (head.status >= 200 || head.status == kSwitching) {
            co_return head;
        }
    }
}

Coro<WebSocket> shake_hands(Url url, WebSocketOptions options, WebSocketHeaders headers, const tls::Context* context) {
    const std::string key = make_websocket_key();
    const std::string request = make_request(url, key, options, headers);
    Coro<io::TcpStream> connecting = io::TcpStream::connect(io::Endpoint(url.host(), url.port()));
    io::TcpStream tcp = co_await std::move(connecting);
    std::unique_ptr<detail::Transport> transport;
    if (url.is_secure()) {
        // HTTP/2, which a Context that is shared with a ClientSession may offer, has no such handshake.
        auto securing = detail::secure(std::move(tcp), url, context, options.connect_timeout, "http/1.1", true);
        transport = co_await std::move(securing);
    } else {
        transport = std::make_unique<detail::TransportOf<io::TcpStream>>(std::move(tcp));
    }
    Coro<> writing = transport->write(request);
    co_await std::move(writing);
    std::string head_text;
    std::string rest;
    Coro<detail::Head> reading = read_answer_head(*transport, url, head_text, rest);
    const detail::Head head = co_await std::move(reading);
    const auto agreed = read_answer(head, url, key, options);
    auto core = std::make_shared<detail::WebSocketCoreOf<TransportStream>>(
        TransportStream(std::move(transport)), WebSocketRole::client, options, rest, agreed.first);
    core->protocol = agreed.second;
    WebSocket socket(WebSocketCore::start(std::move(core)));
    co_return socket;
}

Coro<WebSocket> connect_within(std::string text, WebSocketOptions options, std::string protocols,
                               WebSocketHeaders headers, const tls::Context* context) {
    options.protocols = protocols;
    Coro<WebSocket> shaking = shake_hands(url_of(text), options, std::move(headers), context);
    WebSocket socket = co_await with_timeout(detail::limit_of(options.connect_timeout), std::move(shaking));
    co_return socket;
}

}  // namespace

Coro<WebSocket> connect_websocket(std::string url, WebSocketOptions options, const tls::Context* context) {
    return connect_within(std::move(url), options, std::string(options.protocols), {}, context);
}

Coro<WebSocket> connect_websocket(std::string url, WebSocketHeaders headers, WebSocketOptions options,
                                  const tls::Context* context) {
    return connect_within(std::move(url), options, std::string(options.protocols), std::move(headers), context);
}

}  // namespace knit::http
