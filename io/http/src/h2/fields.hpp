/// Header fields of HTTP/2: H2FieldText, of a head that comes, and H2Fields, of a frame that is to be sent.
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

/// Whether a field is about an HTTP/1.1 connection, which HTTP/2 has no word for (RFC 9113, 8.2.2). Of "te" it has one
/// value, that a trailer is welcome.
inline bool is_of_connection(std::string_view name, std::string_view value) noexcept {
    constexpr std::array<std::string_view, 5> kNames = {"connection", "keep-alive", "proxy-connection",
                                                        "transfer-encoding", "upgrade"};
    if (equals_ignoring_case(name, "te")) {
        return !equals_ignoring_case(value, "trailers");
    }
    for (const std::string_view each : kNames) {
        if (equals_ignoring_case(name, each)) {
            return true;
        }
    }
    return false;
}

/// Names and values in one text, and where each is in it: the text moves while it grows.
class H2FieldText {
public:
    std::size_t size() const noexcept { return places_.size(); }
    void clear() noexcept {
        text_.clear();
        places_.clear();
    }
    void add(std::string_view name, std::string_view value) {
        places_.push_back({text_.size(), name.size(), value.size()});
        text_.append(name).append(value);
    }
    /// Calls function(name, value) for each: views that are good until the next change.
    template <class F>
    void each(F function) const {
        for (const Place& place : places_) {
            const std::string_view rest = std::string_view(text_).substr(place.at);
            function(rest.substr(0, place.name_size), rest.substr(place.name_size, place.value_size));
        }
    }

private:
    struct Place {
        std::size_t at;
        std::size_t name_size;
        std::size_t value_size;
    };

    std::string text_;
    std::vector<Place> places_;
};

/// The memory is kept from one frame to the next.
class H2Fields {
public:
    /// Above these, as RFC 9113, 6.5.2 counts, a peer does not refuse a message but ends the whole connection, other
    /// requests with it: nghttp2 takes no name or value above 64 KiB, and no more than eight CONTINUATION frames.
    static constexpr std::size_t kMost = 128 << 10;
    static constexpr std::size_t kEachMost = 64 << 10;

    void clear() noexcept { text_.clear(); }
    /// The name becomes lower case, as HTTP/2 has it.
    void add(std::string_view name, std::string_view value) {
        lower_.clear();
        for (const char letter : name) {
            lower_.push_back(to_lower(letter));
        }
        text_.add(lower_, value);
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
            value = trim(value);
            if (!name.empty() && !is_of_connection(name, value)) {
                add(name, value);
            }
        }
    }
    bool are_too_large() const {
        std::size_t size = 0;
        bool has_long = false;
        text_.each([&](std::string_view name, std::string_view value) {
            size += name.size() + value.size() + 32;
            has_long = has_long || name.size() > kEachMost || value.size() > kEachMost;
        });
        return has_long || size > kMost;
    }
    /// Good until the next change.
    std::vector<nghttp2_nv>& list() {
        list_.clear();
        text_.each([this](std::string_view name, std::string_view value) {
            list_.push_back({bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
        });
        return list_;
    }

private:
    /// nghttp2 reads them, whatever its type says.
    static std::uint8_t* bytes_of(std::string_view text) noexcept {
        return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
    }

    H2FieldText text_;
    std::string lower_;
    std::vector<nghttp2_nv> list_;
};

}  // namespace knit::http::detail
