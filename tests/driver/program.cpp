// What check.py runs under this driver and that: echoes over two loops, then prints the start-up report as JSON, and
// again what a second runtime of the same process found.
#include <cstdio>
#include <exception>
#include <string>

#include "knit/knit.hpp"

namespace {

using knit::Coro;
using knit::io::TcpStream;

Coro<> answer(TcpStream stream) {
    char buffer[64];
    std::size_t count = co_await stream.read_some(buffer);
    while (count != 0) {
        co_await stream.write(std::string_view(buffer, count));
        count = co_await stream.read_some(buffer);
    }
}

Coro<> ask(knit::io::Endpoint where) {
    TcpStream stream = co_await TcpStream::connect(where);
    for (int round = 0; round < 100; ++round) {
        co_await stream.write("hello");
        std::string text(5, '\0');
        co_await stream.read_exactly(text);
        if (text != "hello") {
            throw knit::RuntimeError("wrong answer");
        }
    }
}

Coro<> serve_some() {
    knit::io::Server server = co_await knit::io::serve("127.0.0.1:0", answer);
    for (int client = 0; client < 10; ++client) {
        co_await ask(server.local_endpoint());
    }
    server.close();
    co_await server.wait_closed();
}

}  // namespace

int main() {
    try {
        knit::RunOptions options;
        options.loops = 2;
        std::printf("[");
        for (const char* const after : {",", "]\n"}) {
            knit::Runtime runtime(options);
            runtime.run_until_complete(serve_some());
            std::printf("%s%s", runtime.start_up_report().to_json().c_str(), after);
        }
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "program: %s\n", error.what());
        return 3;
    }
}
