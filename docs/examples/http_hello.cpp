// A server with a few routes, and a client that fetches from it: one page, then many at once.
#include <knit/http.hpp>
#include <knit/knit.hpp>

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

knit::http::Router make_router() {
    knit::http::Router router;
    router.get("/", [](knit::http::Request&) -> knit::Coro<knit::http::Response> {
        co_return knit::http::Response::text("Hello, world!\n");
    });
    router.get("/users/{id}", [](knit::http::Request& request) -> knit::Coro<knit::http::Response> {
        co_return knit::http::Response::text("user " + std::string(request.param("id")) + "\n");
    });
    router.post("/echo", [](knit::http::Request& request) -> knit::Coro<knit::http::Response> {
        std::string body = co_await request.text();
        co_return knit::http::Response::text(std::move(body));
    });
    return router;
}

knit::Coro<std::string> fetch(knit::http::ClientSession& session, std::string url) {
    auto response = co_await session.get(url);
    response.raise_for_status();
    std::string text = co_await response.text();
    co_return text;
}

knit::Coro<> run_all() {
    knit::http::Server server = co_await knit::http::serve("127.0.0.1:0", make_router());
    const std::string base = "http://" + server.local_endpoint().to_string();

    knit::http::ClientSession session;
    std::string text = co_await fetch(session, base + "/");
    std::printf("%s", text.c_str());

    std::vector<knit::Coro<std::string>> fetches;
    for (int id = 1; id <= 3; ++id) {
        fetches.push_back(fetch(session, base + "/users/" + std::to_string(id)));
    }
    auto gathering = knit::gather(std::move(fetches));
    const std::vector<std::string> users = co_await std::move(gathering);
    for (const std::string& user : users) {
        std::printf("%s", user.c_str());
    }

    auto posted = co_await session.post(base + "/echo", std::string("posted\n"));
    text = co_await posted.text();
    std::printf("%d %s", posted.status(), text.c_str());
    session.close();
    server.close();
    co_await server.wait_closed();
}

int main() { knit::run(run_all()); }
