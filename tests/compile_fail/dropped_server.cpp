// EXPECT: nodiscard
#pragma GCC diagnostic error "-Wunused-result"
#include <knit/knit.hpp>

void serve_one(knit::StreamReader, knit::StreamWriter) {}

knit::Coro<> start() {
#ifdef KNIT_CONTROL
    knit::Server server = co_await knit::start_server(serve_one, "127.0.0.1", 0);
#else
    co_await knit::start_server(serve_one, "127.0.0.1", 0);
#endif
}
