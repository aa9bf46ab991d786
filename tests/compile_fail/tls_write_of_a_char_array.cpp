// EXPECT: say string_view(buffer, size)
#include <knit/knit.hpp>
#include <knit/tls.hpp>

knit::Coro<> send(knit::TlsStream<knit::TcpStream>& stream) {
    char buffer[4096];
    const std::size_t size = co_await stream.read_some(buffer);
#ifdef KNIT_CONTROL
    co_await stream.write(std::string_view(buffer, size));
    co_await stream.write_some("text");
#else
    co_await stream.write(buffer);
#endif
}
