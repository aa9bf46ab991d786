/// What the tests of HTTP/2 share: frames by hand, and a server whose handlers tell what they meet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http_test.hpp"

namespace knit::test::h2 {

enum Type : std::uint8_t { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kGoaway = 7, kWindow = 8 };
enum Flag : std::uint8_t { kEndStream = 1, kAck = 1, kEndHeaders = 4 };

struct Frame {
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    std::uint32_t stream = 0;
    std::string payload;

    /// Of a GOAWAY (its second number) or a RST_STREAM (its first).
    std::uint32_t code() const;
};

inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string number(std::uint32_t value);
std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream, std::string_view payload = {});
/// A field, not compressed.
std::string field(std::string_view name, std::string_view value);
/// GET `path`, of http://a, and the further fields.
std::string get_block(std::string_view path, std::string_view more = {});
std::string get(std::uint32_t stream, std::string_view path, std::string_view more = {});
/// What a client begins with.
std::string hello();

/// The first frame of `rest`, which it is taken off, if it has come as a whole.
std::optional<Frame> take_frame(std::string_view& rest);
/// Sends the bytes and gives the frames that come until the server closes; five seconds are too long for that, which a
/// frame of type 255 says.
Coro<std::vector<Frame>> talk(io::Endpoint where, std::string bytes);
/// The frames of `talk` to a server of small_router().
std::vector<Frame> frames_of(std::string bytes, http::ServerOptions options = {});
const Frame* find(const std::vector<Frame>& frames, std::uint8_t type, std::uint32_t stream = 0);
/// ":status" of an answer, which Huffman's code makes unreadable for all but those of the static table: 0 then.
int status_of(const std::vector<Frame>& frames, std::uint32_t stream);

/// A session that speaks HTTP/2 unasked.
http::SessionOptions prior_knowledge();
http::Url url_of(const http::Server& server, std::string_view path);

/// Runs `body(server, session)` beside a server of `router`, and the session on HTTP/2.
void with_http2(http::Router router, std::function<Coro<>(http::Server&, http::ClientSession&)> body,
                http::ServerOptions options = {}, unsigned loops = 1);

inline constexpr std::size_t kPiece = 10'000;
inline constexpr std::size_t kTenMegabytes = 10'000'000;

/// What handlers and tests tell each other. A test has one loop where it uses this.
struct Board {
    Event go;
    std::size_t written = 0;
    int begun = 0;
    int cancelled = 0;
    Event was_cancelled;
};

/// small_router() and: POST /count (the body's size), POST /hold (the same after board.go), GET /gate (waits for
/// board.go), GET /many (ten megabytes), GET /cookies.
http::Router board_router(Board& board);
/// The text at `url`, which has to come by HTTP/2.
Coro<std::string> fetch(http::ClientSession& session, http::Url url);

}  // namespace knit::test::h2
