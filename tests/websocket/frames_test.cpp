// Frames, without a connection: what is read, what is refused, what is written; and the handshake's header fields.

#include "websocket_codec.hpp"
#include "websocket_test.hpp"

namespace knit::test {
namespace {

using http::detail::WebSocketCodec;
using http::detail::WebSocketEvent;

void feed(WebSocketCodec& codec, std::string_view bytes) { codec.take_input(bytes); }

/// What a server reads out of the bytes, as "opcode:data" with blanks between; "!code" for an error.
std::string read(std::string_view bytes, std::optional<DeflateParameters> deflate = {}, std::size_t step = 0) {
    WebSocketCodec codec(true, 1000, deflate);
    std::string text;
    try {
        while (!bytes.empty()) {
            const std::string_view piece = bytes.substr(0, step == 0 ? bytes.size() : step);
            bytes.remove_prefix(piece.size());
            const std::span<std::byte> space = codec.input_space();
            std::memcpy(space.data(), piece.data(), piece.size());
            codec.take_input(piece.size());
            while (const std::optional<WebSocketEvent> event = codec.next()) {
                text += (text.empty() ? "" : " ") + std::to_string(event->opcode) + ":" + event->data;
                text += event->code != 0 ? "#" + std::to_string(event->code) : "";
            }
        }
    } catch (const WebSocketError& error) {
        text += (text.empty() ? "!" : " !") + std::to_string(error.code());
    }
    return text;
}

TEST(WebSocketFrames, AreReadWholeAndByteByByte) {
    const std::string bytes = frame(0x81, "hello") + frame(0x82, std::string(300, 'x')) + frame(0x81, "") +
                              frame(0x01, "a") + frame(0x89, "ping") + frame(0x00, "b") + frame(0x8a, "pong") +
                              frame(0x80, "c") + frame(0x88, "\x03\xe8" "bye");
    const std::string expected =
        "1:hello 2:" + std::string(300, 'x') + " 1: 9:ping 10:pong 1:abc 8:bye#1000";
    EXPECT_EQ(expected, read(bytes));
    for (const std::size_t step : {1U, 2U, 3U, 7U}) {
        EXPECT_EQ(expected, read(bytes, {}, step)) << step;
    }
}

TEST(WebSocketFrames, AMaskIsTakenOffWhereverThePiecesEnd) {
    std::string text = "The quick brown fox jumps over the lazy dog";
    std::string masked = text;
    const char mask[] = {'\x12', '\x34', '\x56', '\x78'};
    for (std::size_t i = 0; i < masked.size(); ++i) {
        masked[i] = static_cast<char>(masked[i] ^ mask[i % 4]);
    }
    const std::string bytes = "\x81" + std::string(1, static_cast<char>(0x80 | text.size())) + std::string(mask, 4) +
                              masked;
    for (const std::size_t step : {0U, 1U, 5U, 9U, 11U}) {
        EXPECT_EQ("1:" + text, read(bytes, {}, step)) << step;
    }
}

TEST(WebSocketFrames, WhatBreaksTheRulesIsRefusedWithItsCode) {
    const std::pair<std::string, const char*> cases[] = {
        {frame(0x83, ""), "!1002"},                                // unknown kinds
        {frame(0x87, ""), "!1002"},
        {frame(0x8b, ""), "!1002"},
        {frame(0xc1, "x"), "!1002"},                               // reserved bits
        {frame(0xa1, "x"), "!1002"},
        {frame(0x91, "x"), "!1002"},
        {frame(0x81, "x", false), "!1002"},                        // no mask
        {frame(0x09, "x"), "!1002"},                               // a control frame in parts
        {frame(0x89, std::string(126, 'x')), "!1002"},             // and a long one
        {frame(0x80, "x"), "!1002"},                               // a continuation of nothing
        {frame(0x01, "x") + frame(0x81, "y"), "!1002"},            // a message in a message
        {std::string("\x82\xfe\0\x7d", 4), ""},                    // the rest of the head is to come
        {std::string("\x82\xfe\0\x7d\0\0\0\0", 8), "!1002"},       // lengths that could be shorter
        {std::string("\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0", 14), "!1002"},
        {std::string("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0", 14), "!1002"},
        {frame(0x88, "x"), "!1002"},                               // close frames
        {frame(0x88, "\x03\xe7"), "!1002"},
        {frame(0x88, "\x03\xed"), "!1002"},
        {frame(0x88, "\x03\xee"), "!1002"},
        {frame(0x88, "\x03\xf7"), "!1002"},
        {frame(0x88, "\x0b\xb7"), "!1002"},
        {frame(0x88, "\x13\x88"), "!1002"},
        {frame(0x88, "\x03\xe8\xff"), "!1007"},
        {frame(0x81, "\xff"), "!1007"},                            // texts
        {frame(0x81, "\xc0\x80"), "!1007"},
        {frame(0x81, "\xed\xa0\x80"), "!1007"},
        {frame(0x81, "\xf4\x90\x80\x80"), "!1007"},
        {frame(0x81, "\xe2\x82"), "!1007"},
        {frame(0x01, "\xe2\x82") + frame(0x80, "x"), "!1007"},
        {frame(0x82, std::string(1001, 'x')), "!1009"},            // more than the limit, in one and in parts
        {frame(0x02, std::string(600, 'x')) + frame(0x80, std::string(401, 'x')), "!1009"},
        {std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14), "!1009"},
        {frame(0x88, ""), "8:#1005"},                              // and what is allowed
        {frame(0x88, "\x13\x87"), "8:#4999"},
        {frame(0x01, "\xe2\x82") + frame(0x89, "p") + frame(0x80, "\xac"), "9:p 1:\xe2\x82\xac"},
        {frame(0x82, std::string(1000, 'x')), nullptr},
    };
    for (const auto& [bytes, expected] : cases) {
        EXPECT_EQ(expected == nullptr ? "2:" + std::string(1000, 'x') : expected, read(bytes)) << bytes;
    }
}

TEST(WebSocketFrames, ACompressedMessageThatStopsInTheMiddleIsRefused) {
    WebSocketCodec client(false, 1000, DeflateParameters());
    std::string bytes;
    client.put(http::detail::kBinary, std::string(200, 'x') + std::string(200, 'y'), bytes);
    EXPECT_EQ("2:" + std::string(200, 'x') + std::string(200, 'y'), read(bytes, DeflateParameters()));
    bytes[1] = static_cast<char>(bytes[1] - 2);  // two bytes less
    EXPECT_EQ("!1007", read(std::string_view(bytes).substr(0, bytes.size() - 2), DeflateParameters()));
    EXPECT_EQ("!1007", read(frame(0xc1, ""), DeflateParameters()));
    EXPECT_EQ("1:", read(frame(0xc1, std::string(1, '\0')), DeflateParameters()));
}

TEST(WebSocketFrames, AClientRefusesMasks) {
    WebSocketCodec client(false, 1000, {});
    feed(client, frame(0x81, "x", false));
    EXPECT_EQ("x", client.next()->data);
    feed(client, frame(0x81, "x"));
    EXPECT_THROW(client.next(), WebSocketError);
}

/// What the other side reads of what one side writes.
std::vector<std::string> through(bool is_server, std::optional<DeflateParameters> deflate,
                                 const std::vector<std::string>& messages, std::size_t* size = nullptr) {
    WebSocketCodec from(is_server, 1 << 20, deflate);
    WebSocketCodec into(!is_server, 1 << 20, deflate);
    std::vector<std::string> got;
    for (const std::string& message : messages) {
        std::string output;
        from.put(http::detail::kBinary, message, output);
        if (size != nullptr) {
            *size += output.size();
        }
        feed(into, output);
        got.push_back(into.next()->data);
    }
    return got;
}

TEST(WebSocketFrames, WhatOneSideWritesTheOtherReads) {
    std::vector<std::string> messages;
    for (const std::size_t size : {0U, 1U, 125U, 126U, 127U, 65535U, 65536U, 200'000U}) {
        messages.emplace_back(size, 'x');
    }
    for (const bool is_server : {false, true}) {
        EXPECT_TRUE(messages == through(is_server, {}, messages));
        EXPECT_TRUE(messages == through(is_server, DeflateParameters(), messages));
        DeflateParameters poor;
        poor.server_no_context_takeover = poor.client_no_context_takeover = true;
        poor.server_bits = poor.client_bits = 9;
        EXPECT_TRUE(messages == through(is_server, poor, messages));
    }
}

TEST(WebSocketFrames, AMessageThatRepeatsAnotherCostsNextToNothing) {
    std::string message;
    std::uint64_t state = 1;
    for (int i = 0; i < 2000; ++i) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        message += static_cast<char>(state >> 56);
    }
    std::size_t kept = 0;
    through(true, DeflateParameters(), {message, message}, &kept);
    DeflateParameters forgetful;
    forgetful.server_no_context_takeover = true;
    std::size_t forgotten = 0;
    through(true, forgetful, {message, message}, &forgotten);
    EXPECT_LT(kept + 1000, forgotten);
}

TEST(WebSocketFrames, CompressedMessagesAreCheckedAndBounded) {
    const DeflateParameters deflate;
    // RFC 7692, 7.2.3: "Hello", plain, in two frames, with the window of the message before, and as a last block.
    const std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    EXPECT_EQ("1:Hello", read(frame(0xc1, hello), deflate));
    EXPECT_EQ("1:Hello", read(frame(0x41, hello.substr(0, 3)) + frame(0x80, hello.substr(3)), deflate));
    EXPECT_EQ("1:Hello 1:Hello",
              read(frame(0xc1, hello) + frame(0xc1, std::string("\xf2\x00\x11\x00\x00", 5)), deflate));
    EXPECT_EQ("1:Hello", read(frame(0xc1, std::string("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8)), deflate));
    EXPECT_EQ("1:Hello", read(frame(0x81, "Hello"), deflate));  // need not be compressed
    EXPECT_EQ("!1007", read(frame(0xc1, "\xff\xff\xff"), deflate));
    EXPECT_EQ("!1002", read(frame(0x41, hello.substr(0, 3)) + frame(0xc0, hello.substr(3)), deflate));
    EXPECT_EQ("!1002", read(frame(0xc9, ""), deflate));
    // A bomb: 300 bytes that would become 200 000.
    WebSocketCodec codec(true, 1 << 20, deflate);
    std::string bomb;
    codec.put(http::detail::kBinary, std::string(200'000, '\0'), bomb);
    EXPECT_LT(bomb.size(), 900U);
    EXPECT_EQ("!1009", read(frame(0xc2, std::string_view(bomb).substr(4)), deflate));
}

TEST(WebSocketHandshake, AcceptIsThatOfTheStandard) {
    EXPECT_EQ("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", http::websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="));
    EXPECT_TRUE(http::is_websocket_key("dGhlIHNhbXBsZSBub25jZQ=="));
    EXPECT_TRUE(http::is_websocket_key(http::make_websocket_key()));
    EXPECT_NE(http::make_websocket_key(), http::make_websocket_key());
    for (const char* const bad : {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25j!Q==",
                                  "dGhlIHNhbXBsZSBub25jZQ==="}) {
        EXPECT_FALSE(http::is_websocket_key(bad)) << bad;
    }
}

TEST(WebSocketHandshake, CompressionIsAgreedOnByTheFirstOfferThatCanBeMet) {
    const auto answer = [](std::string_view offers) {
        const auto agreed = http::choose_deflate(offers);
        return agreed ? http::deflate_answer(*agreed) : "none";
    };
    EXPECT_EQ("none", answer(""));
    EXPECT_EQ("none", answer("x-webkit-deflate-frame"));
    EXPECT_EQ("permessage-deflate", answer("permessage-deflate"));
    EXPECT_EQ("permessage-deflate", answer("foo, permessage-deflate; client_max_window_bits"));
    EXPECT_EQ("permessage-deflate; client_max_window_bits=10",
              answer("permessage-deflate;client_max_window_bits=\"10\""));
    EXPECT_EQ("permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9",
              answer("permessage-deflate; server_max_window_bits=9; server_no_context_takeover ; "
                     "client_no_context_takeover"));
    EXPECT_EQ("none", answer("permessage-deflate; server_max_window_bits=8"));
    EXPECT_EQ("none", answer("permessage-deflate; server_max_window_bits=16"));
    EXPECT_EQ("none", answer("permessage-deflate; server_max_window_bits"));
    EXPECT_EQ("none", answer("permessage-deflate; server_no_context_takeover=1"));
    EXPECT_EQ("none", answer("permessage-deflate; client_max_window_bits; client_max_window_bits=9"));
    EXPECT_EQ("permessage-deflate", answer("permessage-deflate; unknown, permessage-deflate"));
    EXPECT_FALSE(http::read_deflate(" ").has_value());
    EXPECT_EQ(12, http::read_deflate("permessage-deflate; client_max_window_bits=12")->client_bits);
    EXPECT_THROW(http::read_deflate("permessage-deflate; client_max_window_bits"), ValueError);
    EXPECT_THROW(http::read_deflate("permessage-deflate, permessage-deflate"), ValueError);
    EXPECT_THROW(http::read_deflate("foo"), ValueError);
}

TEST(WebSocketHandshake, TheServersFirstProtocolThatTheClientHasIsSpoken) {
    EXPECT_EQ("chat.v2", http::choose_protocol("chat.v2, chat", "chat,  chat.v2"));
    EXPECT_EQ("", http::choose_protocol("chat", "Chat"));
    EXPECT_EQ("", http::choose_protocol("", "chat"));
}

}  // namespace
}  // namespace knit::test
