// EXPECT: keep the Received while its bytes are used
#include <knit/knit.hpp>

std::byte first(std::span<const std::byte> bytes) { return bytes.front(); }

knit::Coro<> take(knit::io::TcpStream& stream) {
#ifdef KNIT_CONTROL
    const knit::io::Received received = co_await stream.receive();
    const std::span<const std::byte> bytes = received;
    knit::io::Received other = co_await stream.receive();
    const std::span<std::byte> changeable = other;
    co_await stream.write(received);
    co_await stream.write(other);
    co_await stream.write(co_await stream.receive());
    for (std::byte byte : other) {
        static_cast<void>(byte);
    }
    static_cast<void>(first(other));
    static_cast<void>(changeable);
#else
    const std::span<const std::byte> bytes = co_await stream.receive();
#endif
    static_cast<void>(first(bytes));
}
