/// A UDP socket is awaited: no protocol classes. In Python:
///
///     class EchoServer(asyncio.DatagramProtocol):
///         def connection_made(self, transport):
///             self.transport = transport
///
///         def datagram_received(self, data, address):
///             print("server got", data.decode())
///             self.transport.sendto(data, address)
///
///     class EchoClient(asyncio.DatagramProtocol):
///         def __init__(self, answer):
///             self.answer = answer
///
///         def connection_made(self, transport):
///             transport.sendto(b"hello")
///
///         def datagram_received(self, data, address):
///             self.answer.set_result(data.decode())
///
///     async def main():
///         loop = asyncio.get_running_loop()
///         server, _ = await loop.create_datagram_endpoint(EchoServer, local_addr=("127.0.0.1", 0))
///         answer = loop.create_future()
///         client, _ = await loop.create_datagram_endpoint(
///             lambda: EchoClient(answer), remote_addr=server.get_extra_info("sockname"))
///         print("client got", await answer)
///         client.close()
///         server.close()
///
///     asyncio.run(main())
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

#include <knit/knit.hpp>

knit::Coro<> echo(knit::UdpSocket socket) {
    std::array<char, 1500> buffer;
    for (;;) {
        const knit::Datagram datagram = co_await socket.recv_from(buffer);
        const std::string_view text(buffer.data(), datagram.size);
        std::printf("server got %.*s\n", static_cast<int>(text.size()), text.data());
        co_await socket.send_to(text, datagram.from);
    }
}

knit::Coro<> main_coro() {
    knit::UdpSocket socket = knit::UdpSocket::bind("127.0.0.1:0");
    const knit::Endpoint where = socket.local_endpoint();
    knit::Task<> server = knit::create_task(echo(std::move(socket)));
    knit::UdpSocket client = co_await knit::UdpSocket::connect(where);
    co_await client.send("hello");
    std::array<char, 1500> buffer;
    const knit::Datagram answer = co_await client.recv(buffer);
    std::printf("client got %.*s\n", static_cast<int>(answer.size), buffer.data());
    server.cancel();
}

int main() { knit::run(main_coro()); }
