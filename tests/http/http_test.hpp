/// What the tests of HTTP share: a server with a few routes, and a peer that speaks bytes.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "io_test.hpp"
#include "knit/http.hpp"

namespace knit::test {

/// Routes: GET /, POST /echo, POST /unread, GET /stream, GET /fail, GET /cut, GET /users/{id}, GET /large, GET /wait,
/// GET /huge, GET /late, GET /empty, GET /giving-up, GET /cancelled, GET /upgrade (echoes a line; /upgrade?left leaves
/// a reader behind).
http::Router small_router();

/// Runs `body(server)` beside a server of that router.
Coro<> with_server(http::ServerOptions options, std::function<Coro<>(http::Server&)> body);
inline Coro<> with_server(std::function<Coro<>(http::Server&)> body) { return with_server({}, std::move(body)); }

/// Sends the bytes, ends its writing half if `is_ended`, and gives all that comes until the server closes, or until
/// five seconds have passed, which the text then says.
Coro<std::string> say(io::Endpoint where, std::string bytes, bool is_ended = false);

/// How many times the answer has it.
int count_of(std::string_view text, std::string_view part);

/// "GET PATH", to be closed after it.
std::string get(std::string_view path, std::string_view fields = {});

}  // namespace knit::test
