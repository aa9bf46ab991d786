/// asyncio's streams: a server that sends back each line, and a client, in one program. In Python:
///
///     async def handle(reader, writer):
///         while line := await reader.readline():
///             writer.write(line)
///             await writer.drain()
///         writer.close()
///         await writer.wait_closed()
///
///     async def main():
///         server = await asyncio.start_server(handle, "127.0.0.1", 0)
///         async with server:
///             reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
///             for message in "hello", "world":
///                 writer.write(message.encode() + b"\n")
///                 print("client got", (await reader.readline()).decode(), end="")
///             writer.close()
///             await writer.wait_closed()
///         print("closed")
///
///     asyncio.run(main())
#include <cstdio>
#include <string>

#include <knit/knit.hpp>

knit::Coro<> handle(knit::StreamReader reader, knit::StreamWriter writer) {
    while (auto line = co_await reader.next_line()) {
        writer.write(*line);
        co_await writer.drain();
    }
    writer.close();
    co_await writer.wait_closed();
}

knit::Coro<> talk(knit::Endpoint where) {
    knit::Connection connection = co_await knit::open_connection(where);
    for (const char* message : {"hello\n", "world\n"}) {
        connection.writer.write(message);
        const std::string answer = co_await connection.reader.readline();
        std::printf("client got %s", answer.c_str());
    }
    connection.writer.close();
    co_await connection.writer.wait_closed();
}

knit::Coro<> main_coro() {
    knit::Server server = co_await knit::start_server(handle, "127.0.0.1:0");
    co_await server.scope([&] { return talk(server.local_endpoint()); });
    std::puts("closed");
}

int main() { knit::run(main_coro()); }
