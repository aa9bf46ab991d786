// HTTP/2 servers, by frames made by hand.
#include "http2_test.hpp"

#include <array>
#include <fstream>
#include <iterator>

namespace knit::test::h2 {
namespace {

constexpr std::uint32_t kProtocolError = 1;
constexpr std::uint32_t kRefused = 7;
constexpr std::uint32_t kCalm = 11;

/// What ends a conversation in an orderly way.
std::string goodbye() { return frame(kGoaway, 0, 0, number(0) + number(0)); }

std::string data_of(const std::vector<Frame>& frames, std::uint32_t stream) {
    std::string text;
    for (const Frame& each : frames) {
        text += each.type == kData && each.stream == stream ? each.payload : "";
    }
    return text;
}

TEST(Http2Server, AnswersWhatBeginsWithThePreface) {
    const auto frames = frames_of(hello() + get(1, "/") + get(3, "/users/7?q=a") + goodbye());
    EXPECT_EQ(status_of(frames, 1), 200);
    EXPECT_EQ(data_of(frames, 1), "Hello, world!\n");
    EXPECT_EQ(data_of(frames, 3), "user 7 a");
}

TEST(Http2Server, AnswersAPing) {
    const auto frames = frames_of(hello() + frame(kPing, 0, 0, "12345678") + goodbye());
    const Frame* const pong = find(frames, kPing);
    ASSERT_NE(pong, nullptr);
    EXPECT_EQ(pong->payload, "12345678");
    EXPECT_EQ(pong->flags, kAck);
}

TEST(Http2Server, EndsWhatBeginsLikeThePrefaceAndIsNone) {
    const auto frames = frames_of("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + frame(kSettings, 0, 0) + get(1, "/"));
    EXPECT_EQ(find(frames, kHeaders, 1), nullptr);
}

TEST(Http2Server, SpeaksHttp1WhereHttp2IsOff) {
    run_io([]() -> Coro<> {
        co_await with_server({.shutdown_timeout = 0s, .http2 = false}, [](http::Server& server) -> Coro<> {
            const std::string answer = co_await say(server.local_endpoint(), hello());
            EXPECT_TRUE(answer.starts_with("HTTP/1.1 505 ")) << answer;
        });
    });
}

TEST(Http2Server, EndsAPrefaceAHeadAndAnIdleConnectionThatTakeTooLong) {
    const http::ServerOptions options = {.header_timeout = 30ms, .idle_timeout = 30ms};
    EXPECT_NE(find(frames_of(std::string(kPreface), options), kGoaway), nullptr);
    EXPECT_NE(find(frames_of(hello(), options), kGoaway), nullptr);
    const auto frames = frames_of(hello() + frame(kHeaders, kEndStream, 1, get_block("/")), options);
    ASSERT_NE(find(frames, kGoaway), nullptr);
    EXPECT_EQ(find(frames, kGoaway)->code(), kCalm);
}

/// Reads on until the server closes, or so many frames of that type have come.
Coro<> read_frames(io::TcpStream& stream, std::string& bytes, std::vector<Frame>& frames, std::uint8_t type,
                   int count) {
    std::array<char, 4096> buffer;
    for (std::size_t size = 1; size != 0;) {
        size = co_await stream.read_some(buffer);
        bytes.append(buffer.data(), size);
        std::string_view rest = bytes;
        while (auto frame = take_frame(rest)) {
            count -= frame->type == type ? 1 : 0;
            frames.push_back(*std::move(frame));
        }
        bytes.erase(0, bytes.size() - rest.size());
        if (count <= 0) {
            co_return;
        }
    }
}

TEST(Http2Server, AnswersWhatIsOnItsWayWhenAConnectionEnds) {
    http::Router router = small_router();
    router.get("/bye", [](http::Request&) -> Coro<http::Response> {
        http::Response response = http::Response::text("bye");
        response.close();
        co_return response;
    });
    std::vector<Frame> frames;
    run_io([&]() -> Coro<> {
        auto starting = http::serve(io::endpoint("127.0.0.1", 0), router);
        http::Server server = co_await std::move(starting);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string first = hello() + get(1, "/bye");
        co_await stream.write(first);
        std::string bytes;
        co_await read_frames(stream, bytes, frames, kPing, 1);
        const Frame* const ping = find(frames, kPing);
        EXPECT_NE(ping, nullptr);
        const std::string pong = frame(kPing, kAck, 0, ping == nullptr ? "" : ping->payload);
        const std::string second = get(3, "/users/7") + pong;
        co_await stream.write(second);
        co_await read_frames(stream, bytes, frames, 255, 1);
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
    std::vector<std::string> last_streams;
    for (const Frame& each : frames) {
        if (each.type == kGoaway) {
            last_streams.push_back(each.payload.substr(0, 4));
        }
    }
    EXPECT_EQ(last_streams, (std::vector<std::string>{number(0x7fff'ffff), number(3)}));
    EXPECT_EQ(data_of(frames, 1), "bye");
    EXPECT_EQ(data_of(frames, 3), "user 7 none");
}

TEST(Http2Server, RefusesWhatHttp1Refuses) {
    const std::string no_path = std::string("\x82\x86\x41\x01") + "a";
    const std::vector<std::string> blocks = {
        get_block("/", field("connection", "close")), get_block("/", field("transfer-encoding", "chunked")),
        get_block("/", field("X-Upper", "a")),        get_block("/", field("x", "a\nb")),
        get_block("/", field("x y", "a")),            get_block("/", field(":path", "/")),
        get_block("/", field(":unknown", "a")),       get_block("/", field("x", "a") + field(":scheme", "http")),
        get_block("/", field("te", "gzip")),          get_block("/", field("content-length", "5")),
        no_path};
    for (const std::string& block : blocks) {
        const auto frames = frames_of(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block) + get(3, "/") +
                                      goodbye());
        const Frame* const reset = find(frames, kReset, 1);
        ASSERT_NE(reset, nullptr) << block;
        EXPECT_EQ(reset->code(), kProtocolError) << block;
        EXPECT_EQ(status_of(frames, 3), 200) << "the others go on";
    }
    for (const std::string& block : {get_block("/", field("host", "b")), get_block("/%zz"), get_block("nowhere")}) {
        const auto frames = frames_of(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block) + goodbye());
        const Frame* const reset = find(frames, kReset, 1);
        EXPECT_TRUE(status_of(frames, 1) == 400 || (reset != nullptr && reset->code() == kProtocolError)) << block;
    }
}

/// The status of what is asked for with these pseudo fields, by nobody in particular.
int status_of_request(std::string_view method, std::string_view scheme, std::string_view path) {
    const std::string rest = method == "CONNECT" ? "" : field(":scheme", scheme) + field(":path", path);
    const std::string block = field(":method", method) + field(":authority", "a") + rest;
    const auto frames = frames_of(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block) + goodbye());
    return status_of(frames, 1);
}

TEST(Http2Server, RefusesSchemesThatAreNotHttpsAndTargetsThatAreNoPaths) {
    for (const std::string_view path : {"/", "http://evil/", "?x=y://z/", "*", "evil"}) {
        EXPECT_EQ(status_of_request("GET", "ftp", path), 400) << path;
    }
    EXPECT_EQ(status_of_request("OPTIONS", "ftp", "*"), 400);
    EXPECT_EQ(status_of_request("GET", "HTTP", "/"), 200);
    EXPECT_EQ(status_of_request("GET", "https", "/?x=y://z/"), 200);
    EXPECT_EQ(status_of_request("OPTIONS", "http", "*"), 404);
    EXPECT_EQ(status_of_request("CONNECT", "", ""), 404);
}

TEST(Http2Server, AHeadThatIsRefusedLeavesTheOthersAlone) {
    Board board;
    run_io([&]() -> Coro<> {
        auto starting = http::serve(io::endpoint("127.0.0.1", 0), board_router(board),
                                    {.header_timeout = 30ms, .shutdown_timeout = 1s});
        http::Server server = co_await std::move(starting);
        const std::string bad = get(3, "/", field("connection", "close"));
        auto talking = create_task(talk(server.local_endpoint(), hello() + get(1, "/gate") + bad + goodbye()));
        while (board.begun == 0) {
            co_await yield();
        }
        co_await sleep(80ms);
        board.go.set();
        const std::vector<Frame> frames = co_await std::move(talking);
        EXPECT_NE(find(frames, kReset, 3), nullptr);
        EXPECT_EQ(data_of(frames, 1), "went");
        EXPECT_EQ(board.cancelled, 0);
        server.close();
        co_await server.wait_closed();
    });
}

TEST(Http2Server, AcceptsTheSameHostTwice) {
    EXPECT_EQ(status_of(frames_of(hello() + get(1, "/", field("host", "a")) + goodbye()), 1), 200);
}

TEST(Http2Server, ABodyThatIsNotWhatItsLengthSaysIsRefused) {
    const std::string block = std::string("\x83\x86\x41\x01") + "a\x44\x05/echo" + field("content-length", "3");
    const auto frames = frames_of(hello() + frame(kHeaders, kEndHeaders, 1, block) +
                                  frame(kData, kEndStream, 1, "12345") + goodbye());
    ASSERT_NE(find(frames, kReset, 1), nullptr);
    EXPECT_EQ(find(frames, kReset, 1)->code(), kProtocolError);
}

TEST(Http2Server, TakesABodyWithTrailersAndCookiesInPieces) {
    const std::string block = std::string("\x83\x86\x41\x01") + "a\x44\x05/echo";
    const auto frames = frames_of(hello() + frame(kHeaders, kEndHeaders, 1, block) + frame(kData, 0, 1, "hel") +
                                  frame(kData, 0, 1, "lo") +
                                  frame(kHeaders, kEndStream | kEndHeaders, 1, field("x-sum", "1")) + goodbye());
    EXPECT_EQ(data_of(frames, 1), "hello");
}

TEST(Http2Server, ABodyThatNobodyWantsIsDroppedAndThenStoppedWithoutBlame) {
    const std::string block = std::string("\x83\x86\x41\x01") + "a\x44\x07/unread";
    const std::string asked = hello() + frame(kHeaders, kEndHeaders, 1, block) + frame(kData, 0, 1, "hel");
    auto frames = frames_of(asked + frame(kData, kEndStream, 1, "lo") + goodbye());
    EXPECT_EQ(data_of(frames, 1), "unread");
    EXPECT_EQ(find(frames, kReset, 1), nullptr);
    frames = frames_of(asked + goodbye());
    EXPECT_EQ(data_of(frames, 1), "unread");
    ASSERT_NE(find(frames, kReset, 1), nullptr);
    EXPECT_EQ(find(frames, kReset, 1)->code(), 0U);
}

TEST(Http2Server, LimitsHeads) {
    const std::string large(20'000, 'x');
    const auto get_large = [&](std::string_view more) {
        const std::string block = get_block("/", more);
        return frame(kHeaders, kEndStream, 1, std::string_view(block).substr(0, 16'000)) +
               frame(9, kEndHeaders, 1, std::string_view(block).substr(16'000));
    };
    auto frames = frames_of(hello() + get_large(field("x", large)) + get(3, "/") + goodbye());
    EXPECT_NE(data_of(frames, 1).find("431"), std::string::npos);
    EXPECT_EQ(status_of(frames, 3), 200);
    std::string many;
    for (int i = 0; i < 101; ++i) {
        many += field("x", "a");
    }
    frames = frames_of(hello() + get(1, "/", many) + goodbye());
    EXPECT_NE(data_of(frames, 1).find("431"), std::string::npos);
    frames = frames_of(hello() + get(1, "/" + std::string(9000, 'p')) + goodbye());
    EXPECT_NE(data_of(frames, 1).find("414"), std::string::npos);
}

TEST(Http2Server, EndsAConnectionWhoseFewBytesMeanManyFields) {
    // 0x40: into the table, from where 0xbe (62, its newest) brings it back, one byte for 4,000.
    const std::string kept = std::string("\x40\x01x") + field("", std::string(4000, 'v')).substr(2);
    const std::string block = get_block("/", kept + std::string(5000, '\xbe'));
    const auto frames = frames_of(hello() + frame(kHeaders, kEndStream | kEndHeaders, 1, block));
    ASSERT_NE(find(frames, kGoaway), nullptr);
    EXPECT_EQ(find(frames, kGoaway)->code(), kCalm);
}

TEST(Http2Server, EndsAConnectionThatResetsItsRequestsRapidly) {
    std::string bytes = hello();
    for (std::uint32_t stream = 1; stream < 1200; stream += 2) {
        bytes += get(stream, "/wait") + frame(kReset, 0, stream, number(8));
    }
    const auto frames = frames_of(std::move(bytes));
    ASSERT_NE(find(frames, kGoaway), nullptr);
    EXPECT_EQ(find(frames, kGoaway)->code(), kCalm);
}

TEST(Http2Server, EndsAConnectionThatHasItsRequestsReset) {
    std::string bytes = hello();
    for (std::uint32_t stream = 1; stream < 8000; stream += 2) {
        bytes += get(stream, "/wait") + frame(kWindow, 0, stream, number(0x7fff'ffff));  // a window that overflows
    }
    const auto frames = frames_of(std::move(bytes));
    ASSERT_NE(find(frames, kReset, 1), nullptr);
    EXPECT_EQ(find(frames, kReset, 1)->code(), 3U) << "FLOW_CONTROL_ERROR";
    ASSERT_NE(find(frames, kGoaway), nullptr);
    EXPECT_EQ(find(frames, kGoaway)->code(), kCalm);
}

TEST(Http2Server, EndsAConnectionOfEndlessContinuationsAndSettings) {
    std::string bytes = hello() + frame(kHeaders, kEndStream, 1, get_block("/"));
    for (int i = 0; i < 10'000; ++i) {
        bytes += frame(9, 0, 1, field("x", "a"));
    }
    EXPECT_EQ(find(frames_of(bytes), kHeaders, 1), nullptr);
    std::string settings;
    for (int i = 0; i < 100; ++i) {
        settings += std::string("\0\x03", 2) + number(100);
    }
    EXPECT_EQ(find(frames_of(hello() + frame(kSettings, 0, 0, settings) + get(1, "/")), kHeaders, 1), nullptr);
}

TEST(Http2Server, RefusesStreamsBeyondItsLimit) {
    std::string asking = hello();
    std::string leaving;
    for (std::uint32_t stream = 1; stream < 20; stream += 2) {
        asking += get(stream, "/late");
        leaving += frame(kReset, 0, stream, number(8));
    }
    const auto frames = frames_of(asking + leaving + goodbye(), {.http2_streams_max = 3});
    EXPECT_EQ(find(frames, kReset, 5), nullptr);
    const Frame* const reset = find(frames, kReset, 7);
    ASSERT_NE(reset, nullptr);
    EXPECT_EQ(reset->code(), kRefused);
}

TEST(Http2Server, ASlowBodyIsAnsweredWith408) {
    const std::string block = std::string("\x83\x86\x41\x01") + "a\x44\x05/echo";
    const auto frames = frames_of(hello() + frame(kHeaders, kEndHeaders, 1, block) + frame(kData, 0, 1, "x"),
                                  {.idle_timeout = 50ms, .body_timeout = 30ms});
    EXPECT_NE(data_of(frames, 1).find("408"), std::string::npos);
}

TEST(Http2Server, APeerThatTakesNothingLosesTheStream) {
    // A window of nothing for every stream: an answer never goes.
    const std::string small = frame(kSettings, 0, 0, std::string("\0\x04", 2) + number(0));
    const auto frames = frames_of(std::string(kPreface) + small + get(1, "/") + get(3, "/stream"),
                                  {.idle_timeout = 50ms, .write_timeout = 30ms});
    EXPECT_NE(find(frames, kReset, 1), nullptr);
    EXPECT_NE(find(frames, kReset, 3), nullptr);
}

TEST(Http2Server, TellsTheAccessLogItsVersion) {
    const std::string path = testing::TempDir() + "knit_h2_access.log";
    std::remove(path.c_str());
    run_io([&]() -> Coro<> {
        http::AccessLog log = co_await http::AccessLog::open(path);
        http::Router router = small_router();
        router.access_log(log);
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        co_await talk(server.local_endpoint(), hello() + get(1, "/users/1", field("user-agent", "me")) + goodbye());
        server.close();
        co_await server.wait_closed();
        co_await log.flush();
    });
    std::ifstream file(path);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    EXPECT_NE(text.find("\"GET /users/1 HTTP/2.0\" 200 "), std::string::npos) << text;
    EXPECT_NE(text.find("\"me\""), std::string::npos) << text;
}

}  // namespace
}  // namespace knit::test::h2
