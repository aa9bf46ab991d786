/// Reads as much of HTTP answers as a load generator needs: where one ends, and whether it is a 200.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace load {

inline constexpr std::size_t kHeadMost = 65536;

/// Length of the answer that `text` begins with, or 0 while its head is not complete.
inline std::size_t http_answer_length(std::string_view text) {
    const std::size_t head = text.find("\r\n\r\n");
    if (head == std::string_view::npos) {
        if (text.size() > kHeadMost) {
            throw std::runtime_error(
                "the answer has no end of its head within 64 KiB: is it HTTP that the server speaks?");
        }
        return 0;
    }
    if (!text.starts_with("HTTP/1.1 200 ")) {
        throw std::runtime_error("the server answers \"" + std::string(text.substr(0, text.find('\r'))) + "\"");
    }
    constexpr std::string_view kField = "\r\ncontent-length:";
    const auto is_same = [](char left, char right) { return (left >= 'A' && left <= 'Z' ? left + 32 : left) == right; };
    const char* const end = text.data() + head;
    const char* number = std::search(text.data(), end, kField.begin(), kField.end(), is_same);
    if (number == end) {
        throw std::runtime_error("the HTTP answer has no Content-Length: only such answers can be measured");
    }
    for (number += kField.size(); number < end && *number == ' '; ++number) {
    }
    std::size_t body = 0;
    if (std::from_chars(number, end, body).ec != std::errc()) {
        throw std::runtime_error("the HTTP answer's Content-Length is no number");
    }
    return head + 4 + body;
}

}  // namespace load
