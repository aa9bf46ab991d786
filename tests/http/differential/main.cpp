// The same bytes through this library and through a second parser, Debian's http_parser: what we take it takes too, and
// reads as the same request of the same length. (The other way round it forgives a lot.)
//     knit_http_differential [SEED [COUNT]]
#include <http_parser.h>

#include <cstdio>
#include <cstdlib>
#include <random>

#include "../message.hpp"

namespace {

using knit::test::Message;

struct Reading {
    Message message;
    bool is_value = false;
    bool is_done = false;
};

Reading& of(http_parser* parser) { return *static_cast<Reading*>(parser->data); }

http_parser_settings callbacks() {
    http_parser_settings settings;
    http_parser_settings_init(&settings);
    settings.on_url = [](http_parser* parser, const char* at, std::size_t size) {
        of(parser).message.target.append(at, size);
        return 0;
    };
    settings.on_header_field = [](http_parser* parser, const char* at, std::size_t size) {
        Reading& reading = of(parser);
        if (reading.is_value || reading.message.fields.empty()) {
            reading.message.fields.emplace_back();
            reading.is_value = false;
        }
        reading.message.fields.back().first.append(at, size);
        return 0;
    };
    settings.on_header_value = [](http_parser* parser, const char* at, std::size_t size) {
        of(parser).is_value = true;
        of(parser).message.fields.back().second.append(at, size);
        return 0;
    };
    settings.on_body = [](http_parser* parser, const char* at, std::size_t size) {
        of(parser).message.body.append(at, size);
        return 0;
    };
    settings.on_message_complete = [](http_parser* parser) {
        of(parser).is_done = true;
        http_parser_pause(parser, 1);
        return 0;
    };
    return settings;
}

enum class Other { refused, taken, upgraded };

Other read_other(std::string_view bytes, std::size_t trailers_from, std::size_t our_size, Message& message) {
    static const http_parser_settings kSettings = callbacks();
    http_parser parser;
    http_parser_init(&parser, HTTP_REQUEST);
    Reading reading;
    parser.data = &reading;
    const std::size_t size = http_parser_execute(&parser, &kSettings, bytes.data(), bytes.size());
    if (parser.upgrade != 0) {
        return Other::upgraded;
    }
    if (!reading.is_done) {
        return Other::refused;
    }
    message = std::move(reading.message);
    message.method = http_method_str(static_cast<http_method>(parser.method));
    message.fields.resize(std::min(message.fields.size(), trailers_from));
    for (auto& [name, value] : message.fields) {
        value.erase(value.find_last_not_of(" \t") + 1);
    }
    // Paused before the last byte or behind it, as the body was: what matters is that the next request begins there.
    message.size = size < bytes.size() && size + 1 == our_size ? our_size : size;
    return Other::taken;
}

const std::string kSeeds[] = {
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /a/b?c=d%20e HTTP/1.0\r\nX:y\r\nEmpty:\r\nSpaces:  a  b  \r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\n\r\nhello",
    "POST /x HTTP/1.1\r\nhost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0a;b=\"c\"\r\n0123456789\r\n0\r\n\r\n",
    "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    "1\r\nx\r\n0\r\nTrailer: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
};
const std::string kPieces[] = {"\r\n", "\n", "\r", " ", "\t", ":", ",", ";", "0", "5", "a", "chunked", "Host: b\r\n",
                               "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "\x80", "\x7f",
                               std::string(1, '\0'), "HTTP/1.1", "%41", "+", "-", "0x", "\r\n\r\n"};

/// http_parser takes a name that only begins with Transfer-Encoding for that field.
bool has_longer_name(const Message& message) {
    constexpr std::string_view kName = "transfer-encoding";
    return std::any_of(message.fields.begin(), message.fields.end(), [&](const auto& field) {
        return field.first.size() > kName.size() &&
               knit::http::equals_ignoring_case(std::string_view(field.first).substr(0, kName.size()), kName);
    });
}

bool has_raw_bytes(const std::string& target) {
    return std::any_of(target.begin(), target.end(), [](char letter) { return static_cast<signed char>(letter) < 0; });
}

std::string mutate(std::mt19937& random) {
    const auto pick = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
    std::string bytes = kSeeds[pick(std::size(kSeeds))];
    for (std::size_t changes = pick(4); changes != 0 && !bytes.empty(); --changes) {
        const std::size_t place = pick(bytes.size());
        switch (pick(4)) {
        case 0: bytes.insert(place, kPieces[pick(std::size(kPieces))]); break;
        case 1: bytes.erase(place, 1 + pick(3)); break;
        case 2: bytes[place] = static_cast<char>(random()); break;
        default: bytes.insert(place, bytes.substr(pick(bytes.size()), pick(12))); break;
        }
    }
    return bytes;
}

}  // namespace

int main(int argc, char** argv) {
    const unsigned long seed = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1;
    const unsigned long count = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 200'000;
    std::mt19937 random(static_cast<unsigned>(seed));
    unsigned long taken = 0;
    for (unsigned long i = 0; i < count; ++i) {
        const std::string bytes = mutate(random);
        const auto ours = knit::test::read_message(bytes, 1 + i % 50);
        if (!ours) {
            continue;
        }
        ++taken;
        Message theirs;
        const Other other = read_other(bytes, ours->fields.size(), ours->size, theirs);
        // Nor does it know that a tab may stand around a value, nor what curl puts into targets.
        const bool is_its_fault = other == Other::refused && (has_longer_name(*ours) || has_raw_bytes(ours->target) ||
                                                              bytes.find('\t') != std::string::npos);
        if (other == Other::upgraded || is_its_fault || (other == Other::taken && theirs == *ours)) {
            continue;
        }
        std::printf("seed %lu, number %lu: %s\n----\n%s\n----\nours: %s %s, %zu fields, body %zu, size %zu\n"
                    "theirs: %s %s, %zu fields, body %zu, size %zu\n", seed, i,
                    other == Other::refused ? "the other parser refuses it" : "read differently", bytes.c_str(),
                    ours->method.c_str(), ours->target.c_str(), ours->fields.size(), ours->body.size(), ours->size,
                    theirs.method.c_str(), theirs.target.c_str(), theirs.fields.size(), theirs.body.size(),
                    theirs.size);
        return 1;
    }
    std::printf("%lu requests, %lu taken by both and read alike\n", count, taken);
    return taken < count / 10 ? 1 : 0;
}
