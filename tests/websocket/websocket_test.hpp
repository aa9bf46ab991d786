/// What the tests of WebSocket share.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "knit/http/router.hpp"
#include "knit/http/server.hpp"
#include "knit/http/websocket.hpp"
#include "stream_pair.hpp"

namespace knit::test {

using http::DeflateParameters;
using http::WebSocket;
using http::WebSocketError;
using http::WebSocketMessage;
using http::WebSocketOptions;
using http::WebSocketRole;

/// Bytes from text with the four-byte mask 0 in a client's frame: what is behind the mask stands as it is.
inline std::string frame(unsigned first, std::string_view payload, bool is_masked = true) {
    std::string text;
    text += static_cast<char>(first);
    const unsigned mask = is_masked ? 0x80 : 0;
    if (payload.size() < 126) {
        text += static_cast<char>(mask | payload.size());
    } else if (payload.size() < 65536) {
        text += static_cast<char>(mask | 126);
        text += static_cast<char>(payload.size() >> 8);
        text += static_cast<char>(payload.size());
    } else {
        text += static_cast<char>(mask | 127);
        for (int shift = 56; shift >= 0; shift -= 8) {
            text += static_cast<char>(payload.size() >> shift);
        }
    }
    return text + (is_masked ? std::string(4, '\0') : "") + std::string(payload);
}

struct WebSocketPair {
    WebSocket near;  ///< the client's
    WebSocket far;
};

inline Coro<WebSocketPair> websocket_pair(WebSocketOptions options = {},
                                          std::optional<DeflateParameters> deflate = {}) {
    Pair pair = co_await connected_pair();
    WebSocketPair made{WebSocket(std::move(pair.near), WebSocketRole::client, options, "", deflate),
                       WebSocket(std::move(pair.far), WebSocketRole::server, options, "", deflate)};
    co_return made;
}

}  // namespace knit::test
