/// What the tests of HTTP share: a server with a few routes, and a peer that speaks bytes.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "io_test.hpp"
#include "knit/http.hpp"

namespace knit::test {

/// Routes: GET /, POST /echo, POST /unread, GET /stream, GET /fail, GET /cut, GET /users/{id}, GET /large, GET /wait,
/// GET /huge, GET /late, GET /empty, GET /giving-up, GET /cancelled, GET /upgrade (echoes a line; /upgrade?left leaves
/// a reader behind).
http::Router small_router();

/// Runs `body(server)` beside a server of that router.
Coro<> with_server(http::ServerOptions options, std::function<Coro<>(http::Server&)> body);
inline Coro<> with_server(std::function<Coro<>(http::Server&)> body) { return with_server({}, std::move(body)); }

/// Sends the bytes, ends its writing half if `is_ended`, and gives all that comes until the server closes, or until
/// five seconds have passed, which the text then says.
Coro<std::string> say(io::Endpoint where, std::string bytes, bool is_ended = false);

/// How many times the answer has it.
int count_of(std::string_view text, std::string_view part);

/// "GET PATH", to be closed after it.
std::string get(std::string_view path, std::string_view fields = {});

/// A handler's look-up that fails, some turns later.
inline Coro<> look_up_nothing() {
    co_await turns(3);
    throw http::HttpError(404);
}

/// Looks for the request's body every 20 ms; the status of the error that ends this, or "never".
inline Coro<std::string> look_again_and_again(http::Request& request) {
    for (int looks = 0; looks < 100; ++looks) {
        try {
            const std::optional<Duration> limit = 20ms;
            const std::string_view piece = co_await with_timeout(limit, request.read_some());
            if (piece.empty()) {
                break;
            }
        } catch (const TimeoutError&) {
            continue;
        } catch (const http::HttpError& error) {
            co_return std::to_string(error.status());
        }
    }
    co_return "never";
}

/// Takes a KiB of a write, and lets it wait before that.
class LittleStream {
public:
    LittleStream(io::TcpStream stream, Duration delay) : stream_(std::move(stream)), delay_(delay) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        const std::size_t count = co_await stream_.read_some(buffer);
        co_return count;
    }
    Coro<std::size_t> write_some(std::span<const std::byte> bytes) {
        const std::size_t size = std::min<std::size_t>(bytes.size(), 1024);
        co_await sleep(delay_);
        co_await stream_.write(bytes.first(size));
        co_return size;
    }
    Coro<> write(std::span<const std::byte> bytes) { co_await stream_.write(bytes); }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    io::TcpStream stream_;
    Duration delay_;
};

}  // namespace knit::test
