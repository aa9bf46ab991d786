/// Utf8Check: whether a text that comes in pieces is UTF-8 (RFC 3629: no overlong forms, no surrogates).
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace knit::http::detail {

class Utf8Check {
public:
    /// False: it is not, whatever follows.
    bool take(std::string_view piece) noexcept {
        const char* place = piece.data();
        const char* const end = place + piece.size();
        while (place != end) {
            if (left_ == 0 && end - place >= 8 && is_ascii(place)) {
                place += 8;
            } else if (!take_byte(static_cast<unsigned char>(*place++))) {
                return false;
            }
        }
        return true;
    }
    /// Whether it may end here.
    bool is_whole() const noexcept { return left_ == 0; }
    void reset() noexcept { *this = Utf8Check(); }

private:
    static bool is_ascii(const char* eight) noexcept {
        std::uint64_t word = 0;
        std::memcpy(&word, eight, sizeof word);
        return (word & 0x8080808080808080) == 0;
    }
    bool take_byte(unsigned char byte) noexcept {
        if (left_ != 0) {
            const bool is_good = byte >= low_ && byte <= high_;
            low_ = 0x80;
            high_ = 0xbf;
            --left_;
            return is_good;
        }
        if (byte < 0x80) {
            return true;
        }
        left_ = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
        low_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
        high_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
        return byte >= 0xc2 && byte <= 0xf4;
    }

    unsigned char left_ = 0;  ///< bytes of a character that are to come
    unsigned char low_ = 0x80;
    unsigned char high_ = 0xbf;
};

inline bool is_utf8(std::string_view text) noexcept {
    Utf8Check check;
    return check.take(text) && check.is_whole();
}

}  // namespace knit::http::detail
