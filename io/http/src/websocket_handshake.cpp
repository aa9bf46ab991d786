#include "knit/http/websocket_handshake.hpp"

#include <sys/random.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "knit/error.hpp"
#include "knit/http/fields.hpp"
#include "sha1.hpp"
#include "text.hpp"

namespace knit::http {

using detail::cut;
using detail::trim;

namespace {

constexpr std::string_view kDeflate = "permessage-deflate";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum class Side { server, client };

std::optional<int> read_bits(std::string_view value) noexcept {
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
    }
    const auto bits = detail::to_number(value);
    // 8 is in RFC 7692 too, but zlib cannot do it.
    return bits && *bits >= 9 && *bits <= 15 && value.front() != '0' ? std::optional(static_cast<int>(*bits))
                                                                     : std::nullopt;
}

/// Parameters as `reader` finds them in what the other side has sent; none when one is unknown, wrong or there twice.
std::optional<DeflateParameters> read_parameters(std::string_view rest, Side reader) {
    DeflateParameters found;
    std::array<bool, 4> seen{};
    while (!rest.empty()) {
        std::string_view value = cut(rest, ';');
        const bool has_value = value.find('=') != std::string_view::npos;
        const std::string_view name = trim(cut(value, '='));
        value = trim(value);
        std::size_t which = 0;
        bool is_good = false;
        if (name == "server_no_context_takeover" || name == "client_no_context_takeover") {
            which = name.front() == 's' ? 0 : 1;
            (which == 0 ? found.server_no_context_takeover : found.client_no_context_takeover) = true;
            is_good = !has_value;
        } else if (name == "server_max_window_bits" || name == "client_max_window_bits") {
            which = name.front() == 's' ? 2 : 3;
            const std::optional<int> bits = read_bits(value);
            // A client may say that it knows of this one, without a number.
            is_good = has_value ? bits.has_value() : which == 3 && reader == Side::server;
            (which == 2 ? found.server_bits : found.client_bits) = bits.value_or(15);
        }
        if (!is_good || seen[which]) {
            return std::nullopt;
        }
        seen[which] = true;
    }
    return found;
}

}  // namespace

std::string websocket_accept(std::string_view key) {
    const auto digest = detail::sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    return detail::base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool is_websocket_key(std::string_view key) noexcept {
    return key.size() == 24 && key.ends_with("==") && key.find_first_not_of(kBase64) == 22 &&
           kBase64.find(key[21]) % 16 == 0;
}

std::string make_websocket_key() {
    std::array<char, 16> bytes;
    if (getentropy(bytes.data(), bytes.size()) != 0) {
        throw std::system_error(errno, std::generic_category(), "getentropy");
    }
    return detail::base64({bytes.data(), bytes.size()});
}

std::optional<DeflateParameters> choose_deflate(std::string_view offers) {
    while (!offers.empty()) {
        std::string_view offer = cut(offers, ',');
        if (equals_ignoring_case(trim(cut(offer, ';')), kDeflate)) {
            const auto parameters = read_parameters(offer, Side::server);
            if (parameters) {
                return parameters;
            }
        }
    }
    return std::nullopt;
}

std::string deflate_answer(const DeflateParameters& agreed) {
    std::string text(kDeflate);
    text += agreed.server_no_context_takeover ? "; server_no_context_takeover" : "";
    text += agreed.client_no_context_takeover ? "; client_no_context_takeover" : "";
    if (agreed.server_bits != 15) {
        text += "; server_max_window_bits=" + std::to_string(agreed.server_bits);
    }
    if (agreed.client_bits != 15) {
        text += "; client_max_window_bits=" + std::to_string(agreed.client_bits);
    }
    return text;
}

std::string_view deflate_offer() noexcept { return "permessage-deflate; client_max_window_bits"; }

std::optional<DeflateParameters> read_deflate(std::string_view answer) {
    if (trim(answer).empty()) {
        return std::nullopt;
    }
    std::string_view rest = answer;
    if (equals_ignoring_case(trim(cut(rest, ';')), kDeflate)) {
        const auto parameters = read_parameters(rest, Side::client);
        if (parameters) {
            return parameters;
        }
    }
    throw ValueError("the server answers with an extension that was not offered: " + std::string(answer));
}

std::string choose_protocol(std::string_view ours, std::string_view theirs) {
    while (!ours.empty()) {
        const std::string_view mine = trim(cut(ours, ','));
        std::string_view rest = theirs;
        while (!mine.empty() && !rest.empty()) {
            if (trim(cut(rest, ',')) == mine) {
                return std::string(mine);
            }
        }
    }
    return {};
}

}  // namespace knit::http
