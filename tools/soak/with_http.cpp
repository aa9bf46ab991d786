// HTTP over the loopback: text, a file, an answer in pieces, and one that is given up.
#include <knit/http.hpp>

#include <fstream>

#include "jobs.hpp"

namespace soak {
namespace {

using namespace std::chrono_literals;
namespace http = knit::http;

constexpr std::size_t kFileSize = 300'000;
constexpr std::size_t kPieces = 50;
constexpr std::size_t kPiece = 1'000;

knit::Coro<http::Response> pieces(http::Request&) {
    co_return http::Response::stream([](http::BodyWriter& writer) -> knit::Coro<> {
        const std::string piece(kPiece, 'p');
        for (std::size_t i = 0; i < kPieces; ++i) {
            co_await writer.write(piece);
        }
    });
}

knit::Coro<http::Response> text(http::Request& request) {
    std::string body = co_await request.text();
    co_return http::Response::text(body.empty() ? "hello" : std::move(body));
}

}  // namespace

bool has_http() { return true; }

knit::Coro<> serve_http(Soak& soak, knit::Event& is_up, knit::Event& is_over) {
    std::ofstream(soak.folder() / "page") << std::string(kFileSize, 'f');
    http::Router router;
    router.get("/text", text);
    router.post("/text", text);
    router.get("/pieces", pieces);
    router.files("/files", soak.folder());
    http::ServerOptions options;
    options.shutdown_timeout = 5s;
    http::Server server = co_await http::serve(knit::io::endpoint("127.0.0.1", 0), std::move(router), options);
    soak.http_server = server.local_endpoint();
    is_up.set();
    co_await is_over.wait();
    server.close();
    co_await server.wait_closed();
}

knit::Coro<> http_job(Soak& soak, std::uint64_t seed) {
    Random random(seed);
    const std::string base = "http://" + soak.http_server.to_string();
    http::ClientSession session;
    while (soak.goes_on()) {
        http::RequestOptions options;
        const std::uint64_t choice = random.below(4);
        if (choice == 0) {
            options.body = random.bytes(random.below(100'000) + 1);
        }
        constexpr std::array<const char*, 4> kPaths = {"/text", "/text", "/pieces", "/files/page"};
        knit::Coro<http::ClientResponse> asking =
            session.request(choice == 0 ? "POST" : "GET", base + kPaths[choice], options);
        http::ClientResponse response = co_await std::move(asking);
        if (choice == 3 && random.below(8) == 0) {
            continue;  // the answer is given up, and its connection with it
        }
        const std::string body = co_await response.text();
        const bool is_right = choice == 0   ? body == options.body
                              : choice == 1 ? body == "hello"
                                            : body.size() == (choice == 2 ? kPieces * kPiece : kFileSize);
        if (response.status() != 200 || !is_right) {
            soak.fail(std::string("http: a wrong answer of ") + kPaths[choice]);
        }
        soak.count(kHttp);
        co_await knit::sleep(std::chrono::microseconds(random.below(500)));
    }
    session.close();
}

}  // namespace soak
