/// What two sides of a WebSocket tell each other in header fields (RFC 6455, 4; RFC 7692, 7). Plain functions, for
/// whoever has another server or client; websocket() and connect_websocket() use them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace knit::http {

/// permessage-deflate, as agreed on.
struct DeflateParameters {
    bool server_no_context_takeover = false;  ///< each message of the server's is compressed by itself
    bool client_no_context_takeover = false;
    int server_bits = 15;  ///< of the window that the server compresses with: 9 to 15
    int client_bits = 15;

    friend bool operator==(const DeflateParameters&, const DeflateParameters&) = default;
};

/// Sec-WebSocket-Accept for a Sec-WebSocket-Key.
std::string websocket_accept(std::string_view key);
/// Whether it is a Sec-WebSocket-Key: 16 bytes in base64.
bool is_websocket_key(std::string_view key) noexcept;
/// A new one.
std::string make_websocket_key();

/// The first offer of permessage-deflate in a client's Sec-WebSocket-Extensions that can be met; none: it is not used.
std::optional<DeflateParameters> choose_deflate(std::string_view offers);
/// What a server answers that has agreed.
std::string deflate_answer(const DeflateParameters& agreed);
/// What a client offers.
std::string_view deflate_offer() noexcept;
/// What a client reads out of a server's answer; none: no extension is used. ValueError for what was not offered.
std::optional<DeflateParameters> read_deflate(std::string_view answer);

/// The first of `ours`, a list with commas, that is in the client's list as well; empty: none.
std::string choose_protocol(std::string_view ours, std::string_view theirs);

}  // namespace knit::http
