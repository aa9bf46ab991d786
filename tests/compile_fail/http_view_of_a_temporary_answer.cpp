// EXPECT: keep the ClientResponse
#include <knit/http.hpp>
#include <string>

knit::Coro<> look(knit::http::ClientSession& session) {
#ifdef KNIT_CONTROL
    const knit::http::ClientResponse response = co_await session.get("http://a/");
    const std::string_view type = response.header("Content-Type");
#else
    const std::string_view type = (co_await session.get("http://a/")).header("Content-Type");
#endif
    static_cast<void>(type);
}
