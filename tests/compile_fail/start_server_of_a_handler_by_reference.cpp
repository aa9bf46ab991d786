// EXPECT: by value: knit::Coro<> handler(knit::StreamReader, knit::StreamWriter)
#include <knit/knit.hpp>

#ifdef KNIT_CONTROL
knit::Coro<> handle(knit::StreamReader, knit::StreamWriter) { co_return; }
#else
knit::Coro<> handle(knit::StreamReader&, knit::StreamWriter&) { co_return; }
#endif

knit::Coro<> start() { knit::Server server = co_await knit::start_server(handle, "127.0.0.1", 0); }
