// EXPECT: say string_view(buffer, size)
#include <knit/http.hpp>
#include <string>

knit::Coro<> send(knit::http::BodyWriter& writer, knit::http::RequestWriter& request, std::size_t size) {
    char buffer[4096];
#ifdef KNIT_CONTROL
    co_await writer.write(std::string_view(buffer, size));
    co_await writer.write("text");
    const std::string text(size, 'x');
    co_await writer.write(text);
    co_await request.write(text);
    std::string kept(size, 'x');
    co_await writer.write(std::move(kept));
#else
    co_await request.write(std::string_view(buffer, size));
    co_await writer.write(buffer);
#endif
}
