// What RFC 9112 demands to be refused: two recipients could read it as different requests.
#include <functional>

#include "http_test.hpp"
#include "knit/http/detail/chunked.hpp"
#include "knit/http/detail/head.hpp"

namespace knit::test {
namespace {

const std::string kHost = "GET / HTTP/1.1\r\nHost: a\r\n";

/// Each is refused with 400 (or the status before it) and the connection ends, whatever stands behind.
using Refused = std::vector<std::pair<int, std::string>>;

const Refused kLengths = {
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {501, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b""chunked\r\n\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
};

const Refused kHeads = {
    {400, "GET / HTTP/1.1\nHost: a\n\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\n\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
    {400, kHost + " folded\r\n\r\n"},
    {400, kHost + "X: a\r\n\tfolded\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
    {400, kHost + "X : y\r\n\r\n"},
    {400, kHost + "X\t: y\r\n\r\n"},
    {400, kHost + ": y\r\n\r\n"},
    {400, kHost + "no colon\r\n\r\n"},
    {400, kHost + "X(a): y\r\n\r\n"},
    {400, kHost + "X: a\x01z\r\n\r\n"},
    {400, kHost + std::string("X: a\0z\r\n\r\n", 10)},
    {400, kHost + "X: a\x7fz\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
    {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
    {400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET http://a\xff/x HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /a\fb HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET users HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /\r\n\r\n"},
    {400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {501, "NONSENSE / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"},
    {505, "GET / HTTP/1.2\r\nHost: a\r\n\r\n"},
    {505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"},
};

const Refused kChunks = {
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nhello"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n bad: x\r\n\r\n"},
    {400, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n"},
};

void expect_refused(const Refused& requests) {
    run_io([&]() -> Coro<> {
        co_await with_server([&](http::Server& server) -> Coro<> {
            for (const auto& [status, request] : requests) {
                const std::string answer = co_await say(server.local_endpoint(), request + get("/"));
                EXPECT_EQ(count_of(answer, "HTTP/1.1 "), 1) << request << "\n" << answer;
                const bool is_refused = answer.starts_with("HTTP/1.1 " + std::to_string(status)) ||
                                        (status == 400 && answer.starts_with("HTTP/1.1 501"));
                EXPECT_TRUE(is_refused) << request << "\n" << answer;
                EXPECT_EQ(count_of(answer, "Connection: close\r\n"), 1) << request << "\n" << answer;
                EXPECT_EQ(count_of(answer, "[open]"), 0) << request;
            }
        });
    });
}

TEST(Smuggling, LengthsThatCanBeReadInTwoWaysAreRefused) { expect_refused(kLengths); }
TEST(Smuggling, HeadsThatCanBeReadInTwoWaysAreRefused) { expect_refused(kHeads); }
TEST(Smuggling, ChunksThatCanBeReadInTwoWaysAreRefused) { expect_refused(kChunks); }

TEST(Smuggling, WhatCameBeforeIsAnswered) {
    run_io([]() -> Coro<> {
        co_await with_server([](http::Server& server) -> Coro<> {
            const std::string good = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            const std::string answer = co_await say(server.local_endpoint(), good + "nonsense\r\n\r\n" + good);
            EXPECT_EQ(count_of(answer, "200 OK"), 1);
            EXPECT_EQ(count_of(answer, "400 Bad Request"), 1);
        });
    });
}

TEST(Smuggling, WhatIsAllowedIsTaken) {
    for (const std::string& request : {
             std::string("GET http://other/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
             std::string("\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
             std::string("GET /?a={b|c}^`\\\"<>\xc3\xa4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
             std::string("GET /?a=b%20c HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n\r\n"),
             std::string("GET / HTTP/1.1\r\nhost:a\r\nX-Empty:\r\nX-Umlaut: \xc3\xa4\r\nConnection: close\r\n\r\n"),
         }) {
        http::detail::HeadScan scan;
        http::detail::Head head;
        ASSERT_EQ(scan.scan(request, {}), 200) << request;
        const std::string_view bytes = std::string_view(request).substr(scan.begin());
        EXPECT_EQ(http::detail::read_request_head(bytes, head), 200) << request;
    }
}

TEST(Smuggling, TheAbsoluteFormsHostIsTheHost) {
    for (const char* const target : {"http://internal:80/x", "http://user@internal:80?x", "HTTP://internal:80"}) {
        const std::string request = "GET " + std::string(target) + " HTTP/1.1\r\nHost: public\r\n\r\n";
        http::detail::Head head;
        ASSERT_EQ(http::detail::read_request_head(request, head), 200) << target;
        EXPECT_EQ(head.fields.get("host"), "internal:80");
        EXPECT_EQ(head.fields.size(), 1U);
    }
}

/// The body that comes out, "(bad)" behind it, or "(more)".
std::string decoded(std::string_view bytes, std::size_t piece_size) {
    http::detail::ChunkedDecoder decoder;
    std::string body;
    while (!bytes.empty() && !decoder.is_done() && !decoder.is_bad()) {
        std::string_view piece = bytes.substr(0, piece_size);
        bytes.remove_prefix(piece.size());
        while (!piece.empty() && !decoder.is_done() && !decoder.is_bad()) {
            body.append(decoder.next(piece));
        }
        if (decoder.is_done()) {
            return body + "|" + std::string(piece) + std::string(bytes);
        }
    }
    return body + (decoder.is_bad() ? "(bad)" : "(more)");
}

TEST(ChunkedDecoder, GivesTheSameWhereverTheBytesAreCut) {
    constexpr std::string_view kBody = "5\r\nhello\r\n00b;x=\"y\"\r\n wide world\r\n0\r\nA: b\r\nC:d\r\n\r\nrest";
    for (std::size_t size = 1; size <= kBody.size(); ++size) {
        EXPECT_EQ(decoded(kBody, size), "hello wide world|rest") << size;
    }
    EXPECT_EQ(decoded("5\r\nhel", 3), "hel(more)");
    EXPECT_EQ(decoded("00000000000000000000005\r\nhello", 100), "(bad)");
    EXPECT_EQ(decoded("1;" + std::string(9000, 'x'), 100), "(bad)");
    EXPECT_EQ(decoded("0\r\n" + std::string(9000, 'x'), 100), "(bad)");
}

}  // namespace
}  // namespace knit::test
