// EXPECT: a port alone: say the host too
#include <knit/knit.hpp>

void serve_one(knit::StreamReader, knit::StreamWriter) {}

knit::Coro<> start() {
#ifdef KNIT_CONTROL
    knit::Server server = co_await knit::start_server(serve_one, ":0");
#else
    knit::Server server = co_await knit::start_server(serve_one, 0);
#endif
}
