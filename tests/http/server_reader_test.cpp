// The server: tasks that read a request's body, and what becomes of those that its handler leaves behind.
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <stdexcept>

#include "http_test.hpp"

namespace knit::test {
namespace {

using http::BodyWriter;
using http::HttpError;
using http::Request;
using http::Response;
using http::Router;
using http::Server;
using http::ServerOptions;

constexpr std::string_view kRest = "0123456789012345678901234567890123456789";

std::string begun(std::string_view fields = {}) {
    std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n";
    return bytes.append(fields).append("\r\n0123456789");
}

/// What a task that reads has met.
struct Read {
    std::size_t size = 0;
    std::error_code code;
    bool was_cancelled = false;
};

Coro<> read_all(Request& request, Read& read) {
    try {
        for (std::size_t size = 1; size != 0;) {
            const std::string_view piece = co_await request.read_some();
            size = piece.size();
            read.size += size;
        }
    } catch (const std::system_error& error) {
        read.code = error.code();
    } catch (const CancelledError&) {
        read.was_cancelled = true;
        throw;
    }
}

Coro<Response> hello(Request&) { co_return Response::text("Hello"); }

/// Reads until the text has come, or the server has closed, which takes five seconds at most.
Coro<std::string> read_until(io::TcpStream& stream, std::string_view text) {
    std::string come;
    std::array<char, 4096> buffer;
    try {
        while (count_of(come, text) == 0) {
            const std::size_t count = co_await wait_for(stream.read_some(buffer), 5s);
            if (count == 0) {
                break;
            }
            come.append(buffer.data(), count);
        }
    } catch (const TimeoutError&) {
        come.append("[open]");
    } catch (const std::system_error&) {
        come.append("[reset]");
    }
    co_return come;
}

/// How many errors of what was left behind the loop is told of, beside a server of `router`.
int errors_with(Router router, ServerOptions options, std::function<Coro<>(Server&, io::TcpStream&)> body) {
    int errors = 0;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&errors](const ExceptionContext& context) {
            try {
                std::rethrow_exception(context.exception);
            } catch (const RuntimeError&) {
                ++errors;
            } catch (const std::exception&) {
                errors += 0;  // of the function that makes the body
            }
        });
        Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router, options);
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        Coro<> running = body(server, stream);
        co_await std::move(running);
        server.close();
        co_await server.wait_closed();  // before the peer closes
        stream.close();
    });
    return errors;
}

TEST(HttpServerReader, WhatAFailingHandlerLeavesReadingEndsBeforeTheAnswer) {
    for (const bool is_kept : {true, false}) {
        Read read;
        Router router;
        router.get("/", hello).post("/", [&read](Request& request) -> Coro<Response> {
            auto both = gather(read_all(request, read), look_up_nothing());
            co_await std::move(both);
            co_return Response();
        });
        const int errors = errors_with(router, {.idle_timeout = 50ms}, [=](Server&, io::TcpStream& stream) -> Coro<> {
            const std::string first = begun(is_kept ? "" : "Connection: close\r\n");
            co_await stream.write(first);
            std::string answer = co_await read_until(stream, "Not Found\n");
            EXPECT_EQ(count_of(answer, "HTTP/1.1 404"), 1) << answer;
            if (is_kept) {
                const std::string more = std::string(kRest) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
                co_await stream.write(more);
            }
            answer = co_await read_until(stream, "[nothing]");
            EXPECT_EQ(answer.ends_with("Hello"), is_kept) << answer;  // and not "[open]": idle_timeout goes on
        });
        EXPECT_EQ(errors, 0) << "the handler's own error is the one that is told";
        EXPECT_EQ(read.size, 10U);
        EXPECT_EQ(read.code, std::errc::operation_canceled);
        EXPECT_FALSE(read.was_cancelled);
    }
}

TEST(HttpServerReader, AHandlerThatLeavesATaskReadingIsTold) {
    for (const bool is_streamed : {false, true}) {
        Read read;
        Task<> left;
        Router router;
        router.get("/", hello).post("/", [&, is_streamed](Request& request) -> Coro<Response> {
            if (!is_streamed) {
                left = create_task(read_all(request, read));
                co_await turns(3);
                co_return Response::text("left");
            }
            co_return Response::stream([&](BodyWriter& writer) -> Coro<> {
                left = create_task(read_all(request, read));
                co_await writer.write("left");
            });
        });
        const int errors = errors_with(router, {}, [](Server&, io::TcpStream& stream) -> Coro<> {
            const std::string first = begun();
            co_await stream.write(first);
            const std::string answer = co_await read_until(stream, "left");
            EXPECT_EQ(count_of(answer, "HTTP/1.1 200"), 1) << answer;
            const std::string more = std::string(kRest) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
            co_await stream.write(more);
            const std::string next = co_await read_until(stream, "Hello");
            EXPECT_EQ(count_of(next, "Hello"), 1) << next;
        });
        left = Task<>();
        EXPECT_EQ(errors, 1);
        EXPECT_EQ(read.code, std::errc::operation_canceled);
    }
}

TEST(HttpServerReader, WhatIsLeftReadingEndsWithAConnectionThatIsCutOff) {
    Read read;
    Task<> left;
    Router router;
    router.post("/", [&](Request& request) -> Coro<Response> {
        co_return Response::stream([&](BodyWriter& writer) -> Coro<> {
            left = create_task(read_all(request, read));
            co_await writer.write("piece");
            throw std::runtime_error("mine");
        });
    });
    errors_with(router, {}, [](Server&, io::TcpStream& stream) -> Coro<> {
        const std::string first = begun();
        co_await stream.write(first);
        const std::string answer = co_await read_until(stream, "[nothing]");
        EXPECT_EQ(count_of(answer, "\r\n0\r\n\r\n"), 0) << answer;
    });
    left = Task<>();
    EXPECT_EQ(read.code, std::errc::operation_canceled);
}

TEST(HttpServerReader, WhatAHandlerLeavesReadingEndsWithAServerThatIsClosed) {
    Read read;
    Task<> left;
    Event begun_reading;
    Router router;
    router.post("/", [&](Request& request) -> Coro<Response> {
        left = create_task(read_all(request, read));
        co_await turns(3);
        begun_reading.set();
        co_await sleep(std::chrono::hours(1));
        co_return Response();
    });
    errors_with(router, {.shutdown_timeout = 0s}, [&](Server& server, io::TcpStream& stream) -> Coro<> {
        const std::string first = begun();
        co_await stream.write(first);
        co_await begun_reading.wait();
        server.close();
        co_await server.wait_closed();
        EXPECT_EQ(read.code, std::errc::operation_canceled);
    });
    left = Task<>();
}

/// Its body is made when `reading` has ended.
Response all_when_ended(Task<> reading) {
    return Response::stream([reading](BodyWriter& writer) -> Coro<> {
        Task<> other = reading;
        co_await other;
        co_await writer.write("all");
    });
}

TEST(HttpServerReader, ATaskMayReadFromTheHandlerOnUntilTheBodyIsMade) {
    Read read;
    Router router;
    router.get("/", hello).post("/", [&](Request& request) -> Coro<Response> {
        Task<> reading = create_task(read_all(request, read));
        co_await turns(1);
        co_return all_when_ended(reading);
    });
    const int errors = errors_with(router, {}, [](Server&, io::TcpStream& stream) -> Coro<> {
        const std::string both = "GET / HTTP/1.1\r\nHost: a\r\n\r\n" + begun("Expect: 100-continue\r\n");
        co_await stream.write(both);
        const std::string head = co_await read_until(stream, "Transfer-Encoding");
        EXPECT_EQ(count_of(head, "100 Continue\r\n\r\nHTTP/1.1 200"), 1) << head;
        co_await stream.write(kRest);
        const std::string answer = co_await read_until(stream, "\r\n0\r\n\r\n");
        EXPECT_TRUE(answer.ends_with("3\r\nall\r\n0\r\n\r\n")) << answer;
    });
    EXPECT_EQ(errors, 0);
    EXPECT_EQ(read.size, 50U);
}

TEST(HttpServerReader, WhatTheFunctionWouldAwaitIsNotLeftWhereNoBodyIsSent) {
    Read read;
    Router router;
    router.route("HEAD", "/", [&](Request& request) -> Coro<Response> {
        Task<> reading = create_task(read_all(request, read));
        co_await turns(3);
        co_return all_when_ended(reading);
    });
    const int errors = errors_with(router, {}, [](Server&, io::TcpStream& stream) -> Coro<> {
        std::string head = begun();
        head.replace(0, 4, "HEAD");
        co_await stream.write(head);
        const std::string answer = co_await read_until(stream, "\r\n\r\n");
        EXPECT_EQ(count_of(answer, "HTTP/1.1 200"), 1) << answer;
        co_await stream.write(kRest);
    });
    EXPECT_EQ(errors, 0);
    EXPECT_EQ(read.code, std::errc::operation_canceled);
}

TEST(HttpServerReader, TwoTasksThatReadOneBodyAreAnError) {
    bool is_refused = false;
    Router router;
    router.post("/", [&is_refused](Request& request) -> Coro<Response> {
        Task<std::string> first = create_task(request.text());
        co_await turns(1);
        try {
            co_await request.text();
        } catch (const RuntimeError&) {
            is_refused = true;
        }
        std::string text = co_await first;
        co_return Response::text(text);
    });
    errors_with(router, {}, [](Server&, io::TcpStream& stream) -> Coro<> {
        const std::string first = begun();
        co_await stream.write(first);
        co_await turns(20);
        co_await stream.write(kRest);
        const std::string answer = co_await read_until(stream, kRest);
        EXPECT_EQ(count_of(answer, kRest), 1) << answer;
    });
    EXPECT_TRUE(is_refused);
}

TEST(HttpServerReader, ABodyIsLateForAHandlerThatLooksAgainAndAgain) {
    Router router;
    router.post("/", [](Request& request) -> Coro<Response> {
        const std::string text = co_await look_again_and_again(request);
        co_return Response::text("read: " + text);
    });
    errors_with(router, {.body_timeout = 100ms}, [](Server&, io::TcpStream& stream) -> Coro<> {
        const std::string first = begun();
        co_await stream.write(first);
        const std::string answer = co_await read_until(stream, "read: ");
        EXPECT_TRUE(answer.ends_with("read: 408")) << answer;
    });
}

TEST(HttpServerReader, AnUpgradeBehindABodyThatCameInPiecesIsLoggedAsItWasAskedFor) {
    const std::string head =
        "POST /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: line\r\nContent-Length: 4\r\n\r\nbo";
    const std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("knit_upgrade_" + std::to_string(getpid()));
    run_io([&]() -> Coro<> {
        http::AccessLog log = co_await http::AccessLog::open(path);
        Router router = small_router();
        router.access_log(log);
        // Not a TcpStream, whose bytes are the loop's: this one's are gone with their buffer.
        const auto wrap = [](io::TcpStream stream) -> Coro<LittleStream> {
            co_return LittleStream(std::move(stream), 0s);
        };
        Server server = co_await http::serve("127.0.0.1:0", router, ServerOptions(), wrap);
        const std::vector<std::vector<std::string>> ways = {{head, "dyline"}, {head, "dy", "line"}};
        for (const std::vector<std::string>& pieces : ways) {
            io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
            for (const std::string& piece : pieces) {
                co_await stream.write(piece);
                co_await turns(20);
            }
            const std::string answer = co_await read_until(stream, "[nothing]");
            EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << answer;
            EXPECT_TRUE(answer.ends_with("\r\n\r\nline")) << answer;
            stream.close();
        }
        server.close();
        co_await server.wait_closed();
        co_await log.flush();
    });
    std::ifstream file(path);
    const std::string lines(std::istreambuf_iterator<char>(file), {});
    std::filesystem::remove(path);
    EXPECT_EQ(count_of(lines, "] \"POST /upgrade HTTP/1.1\" 101 0 "), 2) << lines;
}

}  // namespace
}  // namespace knit::test
