/// SHA-1 (RFC 3174), for Sec-WebSocket-Accept, which protects nothing; so no library of cryptography is needed for it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace knit::http::detail {

std::array<unsigned char, 20> sha1(std::string_view text);
std::string base64(std::string_view bytes);

}  // namespace knit::http::detail
