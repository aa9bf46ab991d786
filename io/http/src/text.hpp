/// The character classes of RFC 9110 and RFC 3986, and small work on text.
#pragma once

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace knit::http::detail {

constexpr char to_lower(char letter) noexcept {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}
constexpr bool is_digit(char letter) noexcept { return letter >= '0' && letter <= '9'; }
constexpr bool is_blank(char letter) noexcept { return letter == ' ' || letter == '\t'; }

constexpr int hex_value(char letter) noexcept {
    if (is_digit(letter)) {
        return letter - '0';
    }
    const char lower = to_lower(letter);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/// A set of characters.
class CharSet {
public:
    constexpr explicit CharSet(std::string_view letters, bool with_alphanumerics = true) noexcept {
        for (const char letter : letters) {
            has_[static_cast<unsigned char>(letter)] = true;
        }
        for (int code = 0; with_alphanumerics && code < 128; ++code) {
            const char letter = static_cast<char>(code);
            if (is_digit(letter) || (to_lower(letter) >= 'a' && to_lower(letter) <= 'z')) {
                has_[static_cast<std::size_t>(code)] = true;
            }
        }
    }
    constexpr bool has(char letter) const noexcept { return has_[static_cast<unsigned char>(letter)]; }
    constexpr bool has_all(std::string_view text) const noexcept {
        for (const char letter : text) {
            if (!has(letter)) {
                return false;
            }
        }
        return true;
    }

private:
    std::array<bool, 256> has_{};
};

/// RFC 9110, 5.6.2: names of fields and of methods.
inline constexpr CharSet kToken("!#$%&'*+-.^_`|~");
/// A request's target: whatever does not split the line. RFC 3986 allows far less, but browsers leave braces, bars,
/// carets and backslashes in queries as they are, and curl every byte of its argument.
constexpr bool is_target(std::string_view text) noexcept {
    for (const char letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        if (code <= 0x20 || code == 0x7f) {
            return false;
        }
    }
    return !text.empty();
}
/// RFC 3986: what may stand in Host.
inline constexpr CharSet kHost("-._~%!$&'()*+,;=:[]");

constexpr bool is_token(std::string_view text) noexcept { return !text.empty() && kToken.has_all(text); }
/// What may stand in a field's value: no control characters but the tab.
constexpr bool is_field_value(std::string_view text) noexcept {
    for (const char letter : text) {
        const auto code = static_cast<unsigned char>(letter);
        if ((code < 0x20 && code != '\t') || code == 0x7f) {
            return false;
        }
    }
    return true;
}

constexpr std::string_view trim(std::string_view text) noexcept {
    while (!text.empty() && is_blank(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_blank(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

/// Takes what stands before the first `separator` off `rest`, and the separator; all of it when there is none.
constexpr std::string_view cut(std::string_view& rest, char separator) noexcept {
    const std::size_t place = rest.find(separator);
    const std::string_view first = rest.substr(0, place);
    rest.remove_prefix(place == std::string_view::npos ? rest.size() : place + 1);
    return first;
}

/// Digits alone, no sign and no blank; none when it is anything else or does not fit.
inline std::optional<std::uint64_t> to_number(std::string_view text) noexcept {
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    if (text.empty() || !is_digit(text.front())) {
        return std::nullopt;
    }
    const auto [stop, error] = std::from_chars(text.data(), end, value);
    return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

inline void append_number(std::string& text, std::uint64_t number, int base = 10) {
    std::array<char, 24> digits;
    const auto result = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
    text.append(digits.data(), result.ptr);
}

/// Each %XX becomes its character, and '+' a blank when `plus_is_blank`; none when a % is followed by anything else.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank = false);
/// All but letters, digits and `kept` become %XX.
std::string percent_encode(std::string_view text, std::string_view kept);

/// "Sun, 06 Nov 1994 08:49:37 GMT", in any of the three forms of RFC 9110 5.6.7; none when it is no date.
std::optional<std::int64_t> parse_http_date(std::string_view text);
/// Seconds since 1970 as an HTTP date.
using HttpDate = std::array<char, 29>;
HttpDate write_http_date(std::int64_t seconds) noexcept;
std::string format_http_date(std::int64_t seconds);

}  // namespace knit::http::detail
