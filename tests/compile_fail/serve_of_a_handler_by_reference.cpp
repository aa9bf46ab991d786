// EXPECT: by value: knit::Coro<> handler(knit::TcpStream)
#include <knit/knit.hpp>

#ifdef KNIT_CONTROL
knit::Coro<> handle(knit::TcpStream) { co_return; }
#else
knit::Coro<> handle(knit::TcpStream&) { co_return; }
#endif

knit::Coro<> start() { knit::Server server = co_await knit::serve(":0", handle); }
