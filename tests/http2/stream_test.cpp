// HTTP/2 servers on streams that fail in ways that no stream should, and that take nothing.
#include <array>
#include <span>
#include <stdexcept>

#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::BodyWriter;
using http::Request;
using http::Response;
using http::Server;

/// Reads or writes twice, and then throws what a stream should not.
class FaultyStream {
public:
    FaultyStream(io::TcpStream stream, bool is_reader) : stream_(std::move(stream)), is_reader_(is_reader) {}

    Coro<std::size_t> read_some(std::span<std::byte> buffer) {
        check(is_reader_);
        const std::size_t count = co_await stream_.read_some(buffer);
        co_return count;
    }
    Coro<> write(std::span<const std::byte> bytes) {
        check(!is_reader_);
        co_await stream_.write(bytes);
    }
    void shutdown() { stream_.shutdown(); }
    void close() { stream_.close(); }

private:
    void check(bool is_faulty) {
        if (is_faulty && ++count_ > 2) {
            throw std::runtime_error("mine");
        }
    }

    io::TcpStream stream_;
    bool is_reader_;
    int count_ = 0;
};

Coro<> ping_until_closed(io::TcpStream& stream) {
    const std::string ping = frame(kPing, 0, 0, "12345678");
    std::array<std::byte, 4096> buffer;
    std::size_t count = 1;
    try {
        while (count != 0) {
            co_await stream.write(ping);
            count = co_await stream.read_some(buffer);
        }
    } catch (const std::system_error&) {
        co_return;  // closed with something unread
    }
}

/// How many errors the loop has been told of.
int errors_with(bool is_reader) {
    Board board;
    int errors = 0;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&errors](const ExceptionContext&) { ++errors; });
        const auto wrap = [is_reader](io::TcpStream stream) -> Coro<FaultyStream> {
            co_return FaultyStream(std::move(stream), is_reader);
        };
        http::ServerOptions options;
        options.shutdown_timeout = 5s;
        auto starting = http::serve(io::endpoint("127.0.0.1", 0), board_router(board), options, wrap);
        Server server = co_await std::move(starting);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string bytes = hello() + get(1, "/gate");
        co_await stream.write(bytes);
        while (board.begun == 0) {
            co_await yield();
        }
        co_await ping_until_closed(stream);
        EXPECT_EQ(board.cancelled, 1);
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
    return errors;
}

TEST(Http2Stream, WhatNoStreamShouldThrowEndsTheConnectionAndIsTold) {
    EXPECT_EQ(errors_with(true), 1);
    EXPECT_EQ(errors_with(false), 1);
}

/// Reads for a few seconds, slowly, until a stream is reset or the connection is cut off; whether that happens.
Coro<bool> take_little(io::TcpStream& stream) {
    std::vector<char> buffer(std::size_t{256} << 10);
    std::string rest;
    try {
        for (int i = 0; i < 250; ++i) {
            const std::size_t count = co_await stream.read_some(buffer);
            if (count == 0) {
                co_return true;
            }
            rest.append(buffer.data(), count);
            std::string_view view = rest;
            while (const auto frame = take_frame(view)) {
                if (frame->type == kReset) {
                    co_return true;
                }
            }
            rest.erase(0, rest.size() - view.size());
            co_await sleep(20ms);
        }
    } catch (const std::system_error&) {
        co_return true;
    }
    co_return false;
}

/// More streams than such a peer has bytes for in the time that each has to get some of them through.
TEST(Http2Stream, APeerThatTakesLittleIsNoFaultOfTheHandlers) {
    Board board;
    int errors = 0;
    bool is_cut = false;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&errors](const ExceptionContext&) { ++errors; });
        auto starting = http::serve(io::endpoint("127.0.0.1", 0), board_router(board),
                                    {.write_timeout = 50ms, .shutdown_timeout = 5s});
        Server server = co_await std::move(starting);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        const std::string window = std::string("\0\x04", 2) + number(0x7fff'ffff);
        std::string bytes = std::string(kPreface) + frame(kSettings, 0, 0, window) +
                            frame(kWindow, 0, 0, number(0x7fff'0000));
        for (std::uint32_t id = 1; id < 200; id += 2) {
            bytes += get(id, "/many");
        }
        co_await stream.write(bytes);
        Coro<bool> taking = take_little(stream);
        is_cut = co_await std::move(taking);
        stream.close();
        server.close();
        co_await server.wait_closed();
    });
    EXPECT_EQ(errors, 0);
    EXPECT_TRUE(is_cut);
}

/// Asks for a streamed body of that size, takes what comes, and opens no window again; the frames that come until the
/// server closes.
std::vector<Frame> frames_of_a_closed_window(std::size_t size, std::string settings) {
    std::vector<Frame> frames;
    http::Router router;
    router.get("/", [size](Request&) -> Coro<Response> {
        co_return Response::stream([size](BodyWriter& writer) -> Coro<> {
            const std::string body(size, 'x');
            co_await writer.write(body);
        });
    });
    run_io([&]() -> Coro<> {
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router,
                                             {.idle_timeout = 20ms, .write_timeout = 20ms, .shutdown_timeout = 0s});
        const std::string bytes = std::string(kPreface) + frame(kSettings, 0, 0, settings) + get(1, "/");
        frames = co_await talk(server.local_endpoint(), bytes);
        server.close();
        co_await server.wait_closed();
    });
    return frames;
}

TEST(Http2Stream, APeerThatHasNoRoomForTheEndOfAStreamLosesIt) {
    constexpr std::size_t kWindowSize = 65'535;
    const std::string no_window = std::string("\0\x04", 2) + number(0);
    for (const bool is_empty : {false, true}) {
        const std::vector<Frame> frames =
            is_empty ? frames_of_a_closed_window(0, no_window) : frames_of_a_closed_window(kWindowSize, "");
        EXPECT_EQ(find(frames, 255), nullptr) << "the connection has stayed";
        EXPECT_NE(find(frames, kReset, 1), nullptr);
        std::size_t come = 0;
        for (const Frame& each : frames) {
            come += each.type == kData ? each.payload.size() : 0;
        }
        EXPECT_EQ(come, is_empty ? 0 : kWindowSize);
    }
}

/// A block of fields that is never ended.
std::string begin_fields(std::uint32_t stream, std::uint8_t flags, std::string_view block) {
    return frame(kHeaders, flags, stream, block);
}

/// Whether the server ends the connection because of the peer, within five seconds.
Coro<bool> is_cut_for(io::Endpoint where, std::string bytes) {
    constexpr std::uint32_t kCalm = 11;
    io::TcpStream stream = co_await io::TcpStream::connect(std::move(where));
    co_await stream.write(bytes);
    std::array<char, 4096> buffer;
    std::string come;
    try {
        for (;;) {
            const std::size_t count = co_await wait_for(stream.read_some(buffer), 5s);
            if (count == 0) {
                co_return false;
            }
            come.append(buffer.data(), count);
            std::string_view rest = come;
            while (const auto frame = take_frame(rest)) {
                if (frame->type == kGoaway && frame->code() == kCalm) {
                    co_return true;
                }
            }
        }
    } catch (const TimeoutError&) {
        co_return false;
    }
}

TEST(Http2Stream, FieldsThatAreNeverEndedAreLateWhosesoeverTheyAre) {
    run_io([]() -> Coro<> {
        Event go;
        http::Router router;
        router.route("*", "/stay", [&go](Request&) -> Coro<Response> {
            while (!go.is_set()) {
                try {
                    co_await go.wait();
                } catch (const CancelledError&) {
                    continue;  // it takes its time
                }
            }
            co_return Response();
        });
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router,
                                             {.header_timeout = 50ms, .shutdown_timeout = 5s, .http2_streams_max = 1});
        std::string post = get_block("/stay");
        post[0] = '\x83';  // ":method: POST"
        const std::string trailer = hello() + frame(kHeaders, kEndHeaders, 1, post) +
                                    begin_fields(1, kEndStream, field("x-sum", "1"));
        const bool is_trailer_cut = co_await is_cut_for(server.local_endpoint(), trailer);
        EXPECT_TRUE(is_trailer_cut);
        const std::string reset = number(8);
        const std::string refused = hello() + get(1, "/stay") + frame(kReset, 0, 1, reset) + get(3, "/stay") +
                                    frame(kReset, 0, 3, reset) + begin_fields(5, kEndStream, get_block("/stay"));
        const bool is_refused_cut = co_await is_cut_for(server.local_endpoint(), refused);
        EXPECT_TRUE(is_refused_cut);
        go.set();
        server.close();
        co_await server.wait_closed();
    });
}

/// The same in parts, which are ended in time: the handler may then take longer.
TEST(Http2Stream, FieldsThatHaveEndedAreNotLate) {
    run_io([]() -> Coro<> {
        Board board;
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), board_router(board),
                                             {.header_timeout = 20ms, .shutdown_timeout = 5s});
        constexpr std::uint8_t kContinuation = 9;
        const std::string head = hello() + begin_fields(1, kEndStream, get_block("/gate")) +
                                 frame(kContinuation, kEndHeaders, 1, field("x-more", "1"));
        auto asking = create_task(talk(server.local_endpoint(), head));
        while (board.begun == 0) {
            co_await yield();
        }
        co_await sleep(50ms);
        board.go.set();
        co_await turns(20);
        server.close();
        const std::vector<Frame> frames = co_await std::move(asking);
        EXPECT_EQ(status_of(frames, 1), 200);
        co_await server.wait_closed();
    });
}

TEST(Http2Stream, AWriterThatIsLeftBehindWritesIntoNoAnswer) {
    for (const unsigned loops : {1U, 2U}) {
        std::optional<BodyWriter> left;
        http::Router router;
        router.get("/", [&left](Request&) -> Coro<Response> {
            co_return Response::stream([&left](BodyWriter& writer) -> Coro<> {
                left = writer;
                co_await writer.write("piece");
            });
        });
        std::error_code code;
        with_http2(std::move(router), [&](Server& server, http::ClientSession& session) -> Coro<> {
            const std::string text = co_await fetch(session, url_of(server, "/"));
            EXPECT_EQ(text, "piece");
            co_await turns(20);  // the stream's end
            Loop& here = get_running_loop();
            co_await resume_on(get_runtime().loop(loops - 1));
            try {
                co_await left->write("another");
            } catch (const std::system_error& error) {
                code = error.code();
            }
            co_await resume_on(here);
        }, {}, loops);
        EXPECT_EQ(code, std::errc::operation_canceled);
    }
}

Coro<> write_both(BodyWriter& writer, std::string_view first, std::string_view second) {
    std::vector<Coro<>> writes;
    writes.push_back(writer.write(first));
    writes.push_back(writer.write(second));
    auto gathering = gather(std::move(writes));
    co_await std::move(gathering);
}

TEST(Http2Stream, TwoTasksThatWriteOneAnswerAreAnError) {
    const std::string piece(500'000, 'x');
    Task<> left;
    http::Router router;
    router.get("/both", [&piece](Request&) -> Coro<Response> {
        co_return Response::stream([&piece](BodyWriter& writer) { return write_both(writer, piece, piece); });
    });
    router.get("/left", [&piece, &left](Request&) -> Coro<Response> {
        co_return Response::stream([&piece, &left](BodyWriter& writer) -> Coro<> {
            left = create_task(writer.write(piece));
            co_await yield();
        });
    });
    with_http2(std::move(router), [&left](Server& server, http::ClientSession& session) -> Coro<> {
        std::vector<std::string> messages;
        get_running_loop().set_exception_handler([&messages](const ExceptionContext& context) {
            try {
                std::rethrow_exception(context.exception);
            } catch (const RuntimeError& error) {
                messages.emplace_back(error.what());
            } catch (...) {
                messages.emplace_back("another");
            }
        });
        for (int i = 0; i < 2; ++i) {
            http::ClientResponse response = co_await session.get(url_of(server, i == 0 ? "/both" : "/left"));
            EXPECT_THROW(co_await response.text(), http::ServerProtocolError);
        }
        EXPECT_THROW(co_await left, std::system_error);
        EXPECT_EQ(messages.size(), 2U);
        for (const std::string& message : messages) {
            EXPECT_NE(message.find("write()"), std::string::npos) << message;
        }
        EXPECT_EQ(server.connection_count(), 1U);
    });
}

}  // namespace
}  // namespace knit::test::h2
