/// What the tests of tls::start_server() share.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tls_pair.hpp"

namespace knit::test {

using io::Server;
using io::StreamReader;
using io::StreamWriter;

inline Coro<> echo_line(StreamReader reader, StreamWriter writer) {
    const std::string line = co_await reader.readline();
    writer.write(line);
    co_await close_writer(writer);
}

/// One line, and the answer to its end.
inline Coro<std::string> ask_line(Endpoint where, std::string line) {
    io::Connection near = co_await open_connection(std::move(where), client_context());
    near.writer.write(line);
    std::string answer = co_await near.reader.read();
    co_await close_writer(near.writer);
    co_return answer;
}

inline Coro<> end_server(Server& server) {
    server.close();
    co_await server.wait_closed();
}

/// A server that is not to call its handler.
inline Coro<Server> start_uncalled(io::ServeOptions serve_options = {}, tls::Options options = {}) {
    auto never = [](StreamReader, StreamWriter writer) {
        ADD_FAILURE() << "the handler is called";
        writer.close();
    };
    return start_server(never, "127.0.0.1:0", server_context(), serve_options, options);
}

inline Coro<> wait_for_connections(const Server& server, std::size_t count) {
    while (server.connection_count() != count) {
        co_await yield();
    }
}

/// What the exception handler of the loop has heard from now on.
inline std::vector<std::string>& listen_for_failures() {
    static std::vector<std::string> heard;
    heard.clear();
    get_running_loop().set_exception_handler([](const ExceptionContext& context) { heard.push_back(context.message); });
    return heard;
}

}  // namespace knit::test
