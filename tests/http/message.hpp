/// A request as this library reads it from a piece of bytes, for the comparison with another parser and for fuzzing.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/head.hpp"

namespace knit::test {

struct Message {
    std::string method;
    std::string target;
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body;
    std::size_t size = 0;  ///< of the whole request

    friend bool operator==(const Message&, const Message&) = default;
};

/// None when it is refused, or not all there.
inline std::optional<Message> read_message(std::string_view bytes, std::size_t piece_size = 4096) {
    http::detail::HeadScan scan;
    int found = 0;
    for (std::size_t size = 0; found == 0 && size < bytes.size();) {
        size = std::min(bytes.size(), size + piece_size);
        found = scan.scan(bytes.substr(0, size), {});
    }
    http::detail::Head head;
    if (found != 200 ||
        http::detail::read_request_head(bytes.substr(scan.begin(), scan.size() - scan.begin()), head) != 200) {
        return std::nullopt;
    }
    Message message;
    message.method = head.method;
    message.target = head.target;
    for (const http::Field& field : head.fields) {
        message.fields.emplace_back(field.name, field.value);
    }
    std::string_view rest = bytes.substr(scan.size());
    if (head.framing == http::detail::Framing::sized) {
        if (rest.size() < head.length) {
            return std::nullopt;
        }
        message.body = rest.substr(0, static_cast<std::size_t>(head.length));
        rest.remove_prefix(message.body.size());
    } else if (head.framing == http::detail::Framing::chunked) {
        http::detail::ChunkedDecoder decoder;
        while (!rest.empty() && !decoder.is_done() && !decoder.is_bad()) {
            std::string_view piece = rest.substr(0, piece_size);
            const std::size_t before = piece.size();
            message.body.append(decoder.next(piece));
            rest.remove_prefix(before - piece.size());
        }
        if (!decoder.is_done()) {
            return std::nullopt;
        }
    }
    message.size = bytes.size() - rest.size();
    return message;
}

}  // namespace knit::test
