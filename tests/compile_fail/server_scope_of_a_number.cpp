// EXPECT: Server::scope() takes a function that returns a knit::Coro
#include <knit/knit.hpp>

knit::Coro<> body() { co_return; }

knit::Coro<> use(knit::Server& server) {
#ifdef KNIT_CONTROL
    co_await server.scope(body);
#else
    co_await server.scope(42);
#endif
}
