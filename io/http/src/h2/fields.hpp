/// H2Fields: the header fields of one frame that is to be sent, as nghttp2 wants them.
#pragma once

#include <nghttp2/nghttp2.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "../text.hpp"
#include "knit/http/fields.hpp"

namespace knit::http::detail {

/// Whether a field is about an HTTP/1.1 connection, which HTTP/2 has no word for (RFC 9113, 8.2.2).
inline bool is_of_connection(std::string_view name) noexcept {
    constexpr std::array<std::string_view, 6> kNames = {"connection", "keep-alive", "proxy-connection",
                                                        "transfer-encoding", "upgrade", "te"};
    for (const std::string_view each : kNames) {
        if (equals_ignoring_case(name, each)) {
            return true;
        }
    }
    return false;
}

/// The memory is kept from one frame to the next.
class H2Fields {
public:
    void clear() noexcept {
        text_.clear();
        places_.clear();
    }
    /// The name becomes lower case, as HTTP/2 has it.
    void add(std::string_view name, std::string_view value) {
        places_.push_back({text_.size(), name.size(), value.size()});
        for (const char letter : name) {
            text_.push_back(to_lower(letter));
        }
        text_.append(value);
    }
    void add_number(std::string_view name, std::uint64_t number) {
        std::string digits;
        append_number(digits, number);
        add(name, digits);
    }
    /// "Name: value" lines, without those about the connection.
    void add_lines(std::string_view lines) {
        while (!lines.empty()) {
            std::string_view value = cut(lines, '\n');
            if (value.ends_with('\r')) {
                value.remove_suffix(1);
            }
            const std::string_view name = cut(value, ':');
            if (!name.empty() && !is_of_connection(name)) {
                add(name, trim(value));
            }
        }
    }
    /// Good until the next change.
    std::vector<nghttp2_nv>& list() {
        list_.clear();
        auto* const bytes = reinterpret_cast<std::uint8_t*>(text_.data());
        for (const Place& place : places_) {
            std::uint8_t* const name = bytes + place.at;
            list_.push_back({name, name + place.name_size, place.name_size, place.value_size, NGHTTP2_NV_FLAG_NONE});
        }
        return list_;
    }

private:
    struct Place {
        std::size_t at;
        std::size_t name_size;
        std::size_t value_size;
    };

    std::string text_;
    std::vector<Place> places_;
    std::vector<nghttp2_nv> list_;
};

}  // namespace knit::http::detail
