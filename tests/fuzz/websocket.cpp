// Fuzzes WebSocket frames: what a server or a client reads is the same wherever the bytes are cut, a message stays
// within its limit and is text where it says so, and what it is written down as is read as itself by the other side.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/http/error.hpp"
#include "knit/http/websocket.hpp"
#include "websocket_codec.hpp"

namespace {

using knit::http::detail::WebSocketCodec;
using knit::http::detail::WebSocketEvent;

constexpr std::size_t kMessageMax = 5000;

struct Seen {
    std::vector<WebSocketEvent> events;
    int error = 0;
};

bool are_equal(const WebSocketEvent& left, const WebSocketEvent& right) {
    return left.opcode == right.opcode && left.data == right.data && left.code == right.code;
}

Seen read(std::string_view bytes, bool is_server, bool is_compressed, std::size_t piece_size) {
    std::optional<knit::http::DeflateParameters> deflate;
    if (is_compressed) {
        deflate.emplace();
    }
    WebSocketCodec codec(is_server, kMessageMax, deflate);
    Seen seen;
    try {
        while (!bytes.empty()) {
            const std::span<std::byte> space = codec.input_space();
            const std::string_view piece = bytes.substr(0, std::min(piece_size, space.size()));
            bytes.remove_prefix(piece.size());
            std::memcpy(space.data(), piece.data(), piece.size());
            codec.take_input(piece.size());
            while (std::optional<WebSocketEvent> event = codec.next()) {
                seen.events.push_back(*std::move(event));
            }
        }
    } catch (const knit::http::WebSocketError& error) {
        seen.error = error.code();
    }
    return seen;
}

/// What was read, written by that side, is read by the other.
void check_written(const std::vector<WebSocketEvent>& events, bool is_server, bool is_compressed) {
    std::optional<knit::http::DeflateParameters> deflate;
    if (is_compressed) {
        deflate.emplace();
    }
    WebSocketCodec codec(is_server, kMessageMax, deflate);
    std::string output;
    for (const WebSocketEvent& event : events) {
        if (event.opcode == knit::http::detail::kClose) {
            codec.put_close(event.code, event.data, output);
        } else {
            codec.put(event.opcode, event.data, output);
        }
    }
    const Seen back = read(output, !is_server, is_compressed, output.size());
    if (back.error != 0 || !std::ranges::equal(back.events, events, are_equal)) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const bool is_server = (data[0] & 1) != 0;
    const bool is_compressed = (data[0] & 2) != 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Seen whole = read(bytes, is_server, is_compressed, bytes.size());
    for (const std::size_t piece : {1U, 7U}) {
        const Seen cut = read(bytes, is_server, is_compressed, piece);
        if (cut.error != whole.error || !std::ranges::equal(cut.events, whole.events, are_equal)) {
            std::abort();
        }
    }
    for (const WebSocketEvent& event : whole.events) {
        if (event.data.size() > kMessageMax) {
            std::abort();
        }
    }
    check_written(whole.events, is_server, is_compressed);
    return 0;
}
