// EXPECT: say string_view(buffer, size)
#include <knit/http/websocket.hpp>
#include <string>

knit::Coro<> send(knit::http::WebSocket& socket, std::size_t size) {
    char buffer[4096];
#ifdef KNIT_CONTROL
    co_await socket.send_text(std::string_view(buffer, size));
    co_await socket.send_text("text");
    co_await socket.send_binary("bytes");
    const std::string text(size, 'x');
    co_await socket.send_text(text);
#else
    co_await socket.send_binary(std::string_view(buffer, size));
    co_await socket.send_text(buffer);
#endif
}
