// Fuzzes a server's HTTP/2: what comes behind the preface, in pieces, on a stream in memory. The connection ends, every
// handler with it; what is sent is whole frames, SETTINGS first; and no fault is reported, for no handler has one.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "knit/core.hpp"
#include "knit/http.hpp"
#include "knit/http/detail/serve_stream.hpp"

namespace {

using knit::Coro;
using knit::http::BodyWriter;
using knit::http::Request;
using knit::http::Response;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Gives `bytes` by pieces, and then, after some turns in which handlers may go on, the end.
class Peer {
public:
    Peer(std::string_view bytes, std::size_t piece, std::string& sent) : bytes_(bytes), piece_(piece), sent_(&sent) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        for (int turns = bytes_.empty() ? 20 : 1; turns > 0; --turns) {
            co_await knit::yield();
        }
        const std::size_t count = std::min({piece_, buffer.size(), bytes_.size()});
        std::memcpy(buffer.data(), bytes_.data(), count);
        bytes_.remove_prefix(count);
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) {
        sent_->append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        co_return;
    }
    void shutdown() noexcept {}
    void close() noexcept {}

private:
    std::string_view bytes_;
    std::size_t piece_;
    std::string* sent_;
};

int handlers = 0;  ///< that run

class Handling {
public:
    Handling() noexcept { ++handlers; }
    Handling(const Handling&) = delete;
    Handling& operator=(const Handling&) = delete;
    ~Handling() { --handlers; }
};

Coro<Response> hello(Request&) {
    const Handling here;
    co_return Response::text("Hello, world!\n");
}

Coro<Response> echo(Request& request) {
    const Handling here;
    std::string text = co_await request.text();
    co_return Response::text(std::move(text));
}

Coro<Response> wait(Request&) {
    const Handling here;
    knit::Event never;
    co_await never.wait();
    co_return Response();
}

Coro<> write_pieces(BodyWriter& writer) {
    const Handling here;
    const std::string piece(10'000, 'x');
    for (int i = 0; i < 10; ++i) {
        co_await writer.write(piece);
    }
}

Coro<Response> stream(Request&) { co_return Response::stream(write_pieces); }

Coro<Response> mirror(Request& request) {
    co_return Response::stream([&request](BodyWriter& writer) -> Coro<> {
        const Handling here;
        for (;;) {
            const std::string_view part = co_await request.read_some();
            const std::string piece(part);
            if (piece.empty()) {
                break;
            }
            co_await writer.write(piece);
        }
    });
}

Coro<Response> refuse(Request&) {
    throw knit::http::HttpError(403);
    co_return Response();
}

Coro<> serve(std::string_view bytes, std::size_t piece, std::string& sent) {
    knit::get_running_loop().set_exception_handler([](const knit::ExceptionContext&) { std::abort(); });
    knit::http::Router router;
    router.get("/", hello).post("/echo", echo).get("/wait", wait).get("/stream", stream);
    router.post("/mirror", mirror).get("/refuse", refuse);
    knit::http::ServerOptions options;
    options.http2_streams_max = 10;
    auto core = knit::http::detail::make_server_core(router, options);
    Coro<> serving = knit::http::detail::serve_stream(Peer(bytes, piece, sent), std::move(core));
    co_await std::move(serving);
}

/// Whether it is frames, each of a size that a peer takes unasked.
bool is_frames(std::string_view bytes) {
    constexpr std::size_t kHead = 9;
    constexpr unsigned char kSettings = 4;
    const auto at = [&bytes](std::size_t place) { return static_cast<unsigned char>(bytes[place]); };
    bool is_first = true;
    while (bytes.size() >= kHead) {
        const std::size_t size = static_cast<std::size_t>(at(0)) << 16 | static_cast<std::size_t>(at(1)) << 8 | at(2);
        if (bytes.size() < kHead + size || (is_first && at(3) != kSettings)) {
            return false;
        }
        is_first = false;
        bytes.remove_prefix(kHead + size);
    }
    return bytes.empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static knit::Runner runner(knit::RunOptions{.loops = 1});
    if (size == 0) {
        return 0;
    }
    constexpr std::size_t kPieces[] = {1U << 20, 1, 7, 100};
    const std::string bytes = std::string(kPreface).append(reinterpret_cast<const char*>(data) + 1, size - 1);
    std::string sent;
    runner.run(serve(bytes, kPieces[data[0] % 4], sent));
    if (handlers != 0 || !is_frames(sent)) {
        std::abort();
    }
    return 0;
}
