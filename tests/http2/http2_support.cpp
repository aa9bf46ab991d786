// The support itself: it stands in a source of its own, so that it is compiled once.
#include "http2_test.hpp"

#include <array>

namespace knit::test::h2 {

using http::BodyWriter;
using http::ClientResponse;
using http::ClientSession;
using http::Request;
using http::Response;

std::string number(std::uint32_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(value >> shift));
    }
    return bytes;
}

namespace {

std::uint32_t read_number(std::string_view bytes) {
    std::uint32_t value = 0;
    for (const char byte : bytes.substr(0, 4)) {
        value = value << 8 | static_cast<unsigned char>(byte);
    }
    return value;
}

Coro<> write_many(Board& board, BodyWriter& writer) {
    const std::string piece(kPiece, 'd');
    for (std::size_t sent = 0; sent < kTenMegabytes; sent += kPiece) {
        co_await writer.write(piece);
        board.written += kPiece;
    }
}

Coro<Response> count_body(Board& board, Request& request, bool is_held) {
    if (is_held) {
        co_await board.go.wait();
    }
    std::size_t count = 0;
    for (;;) {
        const std::string_view piece = co_await request.read_some();
        if (piece.empty()) {
            co_return Response::text(std::to_string(count));
        }
        count += piece.size();
    }
}

Coro<Response> wait_for_ever(Board& board) {
    ++board.begun;
    try {
        co_await board.go.wait();
    } catch (const CancelledError&) {
        ++board.cancelled;
        board.was_cancelled.set();
        throw;
    }
    co_return Response::text("went");
}

std::string text_of(std::string_view text) {
    std::string bytes(1, static_cast<char>(text.size() < 127 ? text.size() : 127));
    if (text.size() >= 127) {
        std::size_t left = text.size() - 127;
        for (; left >= 128; left /= 128) {
            bytes.push_back(static_cast<char>(left % 128 + 128));
        }
        bytes.push_back(static_cast<char>(left));
    }
    return bytes.append(text);
}

}  // namespace

std::optional<Frame> take_frame(std::string_view& rest) {
    constexpr std::size_t kHead = 9;
    if (rest.size() < kHead) {
        return std::nullopt;
    }
    const std::size_t size = read_number(rest) >> 8;
    if (rest.size() < kHead + size) {
        return std::nullopt;
    }
    Frame frame;
    frame.type = static_cast<std::uint8_t>(rest[3]);
    frame.flags = static_cast<std::uint8_t>(rest[4]);
    frame.stream = read_number(rest.substr(5));
    frame.payload = rest.substr(kHead, size);
    rest.remove_prefix(kHead + size);
    return frame;
}

std::uint32_t Frame::code() const { return read_number(std::string_view(payload).substr(type == kGoaway ? 4 : 0)); }

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
    std::string bytes = number(static_cast<std::uint32_t>(payload.size())).substr(1);
    bytes.push_back(static_cast<char>(type));
    bytes.push_back(static_cast<char>(flags));
    return bytes.append(number(stream)).append(payload);
}

std::string field(std::string_view name, std::string_view value) {
    return std::string(1, '\0').append(text_of(name)).append(text_of(value));
}

std::string get_block(std::string_view path, std::string_view more) {
    // 0x82: ":method: GET", 0x86: ":scheme: http", 0x41: ":authority", 0x44: ":path" (RFC 7541, appendix A).
    return std::string("\x82\x86\x41").append(text_of("a")).append("\x44").append(text_of(path)).append(more);
}

std::string get(std::uint32_t stream, std::string_view path, std::string_view more) {
    return frame(kHeaders, kEndStream | kEndHeaders, stream, get_block(path, more));
}

std::string hello() { return std::string(kPreface) + frame(kSettings, 0, 0); }

Coro<std::vector<Frame>> talk(io::Endpoint where, std::string bytes) {
    std::string come = co_await say(std::move(where), std::move(bytes));
    std::vector<Frame> frames;
    std::string_view rest = come;
    while (auto frame = take_frame(rest)) {
        frames.push_back(std::move(*frame));
    }
    if (rest == "[open]") {
        frames.push_back({255, 0, 0, {}});
    }
    co_return frames;
}

std::vector<Frame> frames_of(std::string bytes, http::ServerOptions options) {
    std::vector<Frame> frames;
    options.shutdown_timeout = 0s;
    run_io([&]() -> Coro<> {
        co_await with_server(options, [&](http::Server& server) -> Coro<> {
            frames = co_await talk(server.local_endpoint(), bytes);
        });
    });
    EXPECT_EQ(find(frames, 255), nullptr) << "the server has not closed";
    return frames;
}

const Frame* find(const std::vector<Frame>& frames, std::uint8_t type, std::uint32_t stream) {
    for (const Frame& frame : frames) {
        if (frame.type == type && frame.stream == stream) {
            return &frame;
        }
    }
    return nullptr;
}

int status_of(const std::vector<Frame>& frames, std::uint32_t stream) {
    const Frame* const found = find(frames, kHeaders, stream);
    if (found == nullptr || found->payload.empty()) {
        return 0;
    }
    constexpr std::array<int, 7> kStatuses = {200, 204, 206, 304, 400, 404, 500};
    std::size_t at = 0;
    while (at < found->payload.size() && (found->payload[at] & 0xe0) == 0x20) {
        ++at;  // the table's size is said first
    }
    const int index = static_cast<unsigned char>(found->payload[at]) - 0x88;
    return index >= 0 && index < 7 ? kStatuses[static_cast<std::size_t>(index)] : 0;
}

http::SessionOptions prior_knowledge() {
    http::SessionOptions options;
    options.http_version = http::HttpVersion::http2;
    options.limit = 0;
    return options;
}

http::Url url_of(const http::Server& server, std::string_view path) {
    return http::Url("http://" + server.local_endpoint().to_string() + std::string(path));
}

void with_http2(http::Router router, std::function<Coro<>(http::Server&, http::ClientSession&)> body,
                http::ServerOptions options, unsigned loops) {
    options.shutdown_timeout = 10s;
    run_io([&]() -> Coro<> {
        Coro<http::Server> starting = http::serve(io::endpoint("127.0.0.1", 0), router, options);
        http::Server server = co_await std::move(starting);
        std::exception_ptr error;
        {
            http::ClientSession session(prior_knowledge());
            try {
                Coro<> running = body(server, session);
                co_await std::move(running);
            } catch (...) {
                error = std::current_exception();
            }
        }
        server.close();
        co_await server.wait_closed();
        if (error != nullptr) {
            std::rethrow_exception(error);
        }
    }, loops);
}

http::Router board_router(Board& board) {
    http::Router router = small_router();
    router.post("/count", [&board](Request& request) { return count_body(board, request, false); });
    router.post("/hold", [&board](Request& request) { return count_body(board, request, true); });
    router.get("/gate", [&board](Request&) { return wait_for_ever(board); });
    router.get("/many", [&board](Request& request) -> Coro<Response> {
        EXPECT_TRUE(request.is_http2());
        co_return Response::stream([&board](BodyWriter& writer) { return write_many(board, writer); });
    });
    router.get("/cookies", [](Request& request) -> Coro<Response> {
        co_return Response::text(std::string(request.header("cookie")) + "|" + std::string(request.header("host")))
            .header("X-Seen", request.header("x-mixed"));
    });
    return router;
}

Coro<std::string> fetch(ClientSession& session, http::Url url) {
    ClientResponse response = co_await session.get(std::move(url));
    EXPECT_TRUE(response.is_http2());
    std::string text = co_await response.text();
    co_return text;
}

}  // namespace knit::test::h2
