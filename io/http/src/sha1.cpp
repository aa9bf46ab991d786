#include "sha1.hpp"

#include <bit>
#include <cstddef>

namespace knit::http::detail {
namespace {

using Words = std::array<std::uint32_t, 5>;
constexpr std::size_t kBlock = 64;

void add_block(Words& sum, const char* block) noexcept {
    std::array<std::uint32_t, 80> words;
    for (std::size_t i = 0; i < 16; ++i) {
        words[i] = 0;
        for (std::size_t k = 0; k < 4; ++k) {
            words[i] = words[i] << 8 | static_cast<unsigned char>(block[4 * i + k]);
        }
    }
    for (std::size_t i = 16; i < 80; ++i) {
        words[i] = std::rotl(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1);
    }
    auto [a, b, c, d, e] = sum;
    for (std::size_t i = 0; i < 80; ++i) {
        std::uint32_t mix = 0;
        if (i < 20) {
            mix = ((b & c) | (~b & d)) + 0x5a827999;
        } else if (i < 40) {
            mix = (b ^ c ^ d) + 0x6ed9eba1;
        } else if (i < 60) {
            mix = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
        } else {
            mix = (b ^ c ^ d) + 0xca62c1d6;
        }
        mix += std::rotl(a, 5) + e + words[i];
        e = d;
        d = c;
        c = std::rotl(b, 30);
        b = a;
        a = mix;
    }
    sum = {sum[0] + a, sum[1] + b, sum[2] + c, sum[3] + d, sum[4] + e};
}

}  // namespace

std::array<unsigned char, 20> sha1(std::string_view text) {
    std::string padded(text);
    padded += '\x80';
    while (padded.size() % kBlock != kBlock - 8) {
        padded += '\0';
    }
    const std::uint64_t bits = std::uint64_t{text.size()} * 8;
    for (int shift = 56; shift >= 0; shift -= 8) {
        padded += static_cast<char>(bits >> shift);
    }
    Words sum = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    for (std::size_t place = 0; place < padded.size(); place += kBlock) {
        add_block(sum, padded.data() + place);
    }
    std::array<unsigned char, 20> digest;
    for (std::size_t i = 0; i < digest.size(); ++i) {
        digest[i] = static_cast<unsigned char>(sum[i / 4] >> (24 - 8 * (i % 4)));
    }
    return digest;
}

std::string base64(std::string_view bytes) {
    constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (std::size_t place = 0; place < bytes.size(); place += 3) {
        const std::string_view group = bytes.substr(place, 3);
        std::uint32_t bits = 0;
        for (std::size_t i = 0; i < 3; ++i) {
            bits = bits << 8 | (i < group.size() ? static_cast<unsigned char>(group[i]) : 0U);
        }
        for (std::size_t i = 0; i < 4; ++i) {
            text += i <= group.size() ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
        }
    }
    return text;
}

}  // namespace knit::http::detail
