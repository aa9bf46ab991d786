// The support itself: it stands in a source of its own, so that it is compiled once.
#include "http_test.hpp"

#include <array>
#include <functional>
#include <span>

namespace knit::test {
namespace {

using http::BodyWriter;
using http::Request;
using http::Response;

Coro<> three_pieces(BodyWriter& writer) {
    for (int i = 0; i < 3; ++i) {
        co_await writer.write("piece\n");
        co_await yield();
    }
}

Coro<> one_piece_and_an_error(BodyWriter& writer) {
    co_await writer.write("piece\n");
    throw std::runtime_error("no more");
}

Coro<Response> hello(Request&) { co_return Response::text("Hello, world!\n"); }
Coro<Response> echo_body(Request& request) {
    std::string text = co_await request.text();
    co_return Response::text(std::move(text)).header("X-Method", request.method());
}
Coro<Response> unread(Request&) { co_return Response::text("unread"); }
Coro<Response> streamed(Request&) { co_return Response::stream(three_pieces); }
Coro<Response> failing(Request&) {
    throw std::runtime_error("the handler's fault");
    co_return Response();
}
Coro<Response> cut(Request&) { co_return Response::stream(one_piece_and_an_error); }
Coro<Response> user(Request& request) {
    co_return Response::text("user " + std::string(request.param("id")) + " " + request.query("q").value_or("none"));
}
Coro<Response> large(Request&) { co_return Response::text(std::string(1 << 20, 'x')); }
Coro<Response> huge(Request&) { co_return Response::text(std::string(24 << 20, 'x')); }
Coro<> nothing_for_an_hour(BodyWriter&) { co_await sleep(std::chrono::hours(1)); }
Coro<Response> late(Request&) { co_return Response::stream(nothing_for_an_hour); }
Coro<Response> empty(Request&) { co_return Response::stream(three_pieces, 0); }
/// A write that the producer itself gives up, which it does not say.
Coro<> one_piece_given_up(BodyWriter& writer) {
    const std::string piece(24 << 20, 'y');
    try {
        co_await wait_for(writer.write(piece), std::chrono::milliseconds(20));
    } catch (const TimeoutError&) {
        co_return;
    }
}
Coro<Response> giving_up(Request&) { co_return Response::stream(one_piece_given_up); }
Coro<Response> cancelled(Request&) {
    throw CancelledError("of another task");
    co_return Response();
}
Coro<> read_line(http::UpgradedStream stream) {
    std::array<std::byte, 64> buffer;
    co_await stream.read_some(buffer);
}
Coro<> echo_line(http::UpgradedStream stream) {
    std::array<std::byte, 64> buffer;
    const std::size_t count = co_await stream.read_some(buffer);
    co_await stream.write(std::span(buffer).first(count));
}
Coro<> leave_reader(http::UpgradedStream stream) {
    static Task<> left;
    left = create_task(read_line(std::move(stream)));
    left.add_done_callback([] { left = Task<>(); });
    co_await yield();
}
Coro<Response> upgrading(Request& request) {
    co_await request.text();
    co_return Response::upgrade(request.query("left") ? leave_reader : echo_line).header("Upgrade", "line");
}
Coro<Response> waiting(Request&) {
    co_await sleep(std::chrono::hours(1));
    co_return Response();
}

}  // namespace

http::Router small_router() {
    http::Router router;
    router.get("/", hello).post("/echo", echo_body).put("/echo", echo_body).post("/unread", unread);
    router.get("/stream", streamed).get("/fail", failing).get("/cut", cut).get("/users/{id}", user);
    router.get("/large", large).get("/wait", waiting).get("/huge", huge);
    router.get("/late", late).get("/empty", empty).get("/giving-up", giving_up).get("/cancelled", cancelled);
    router.post("/upgrade", upgrading).get("/upgrade", upgrading);
    return router;
}

Coro<> with_server(http::ServerOptions options, std::function<Coro<>(http::Server&)> body) {
    Coro<http::Server> starting = http::serve(io::endpoint("127.0.0.1", 0), small_router(), options);
    http::Server server = co_await std::move(starting);
    std::exception_ptr error;
    try {
        Coro<> running = body(server);
        co_await std::move(running);
    } catch (...) {
        error = std::current_exception();
    }
    server.close();
    co_await server.wait_closed();
    if (error != nullptr) {
        std::rethrow_exception(error);
    }
}

Coro<std::string> say(io::Endpoint where, std::string bytes, bool is_ended) {
    io::TcpStream stream = co_await io::TcpStream::connect(std::move(where));
    std::string answer;
    try {
        co_await stream.write(bytes);
        if (is_ended) {
            stream.shutdown();
        }
        char buffer[4096];
        for (;;) {
            const std::size_t count = co_await wait_for(stream.read_some(buffer), std::chrono::seconds(5));
            if (count == 0) {
                break;
            }
            answer.append(buffer, count);
        }
    } catch (const std::system_error& error) {
        answer.append("[reset]");
    } catch (const TimeoutError&) {
        answer.append("[open]");
    }
    co_return answer;
}

int count_of(std::string_view text, std::string_view part) {
    int count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) {
        ++count;
    }
    return count;
}

std::string get(std::string_view path, std::string_view fields) {
    std::string request = "GET ";
    return request.append(path).append(" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n").append(fields).append("\r\n");
}

}  // namespace knit::test
