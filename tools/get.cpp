// knit-get: fetches pages, all at once, and writes them one after the other.
#include <knit/http.hpp>
#include <knit/knit.hpp>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using knit::Coro;

constexpr char kUsage[] =
    "usage: knit-get [-i] [-X METHOD] [-H 'Name: value']... [-d BODY] [--no-redirect] [--timeout SECONDS]\n"
    "                [--http1 | --http2] URL...\n"
    "Fetches the URLs at the same time and prints their bodies in order; -i prints the heads too. Proxies are those\n"
    "of the environment. HTTP/2 is spoken over TLS with servers that choose it; --http1: never; --http2: always, in\n"
    "clear text too. Up to 64 MiB of a body are kept until it is its turn; then its server is kept waiting.\n"
    "Ends with 0 when every answer had a status below 400.";

constexpr std::size_t kKeptMost = std::size_t{64} << 20;

struct Wish {
    std::vector<std::string> urls;
    std::string method = "GET";
    knit::http::RequestOptions options;
    knit::http::HttpVersion version = knit::http::HttpVersion::automatic;
    bool shows_heads = false;
    bool has_method = false;
};

void print(std::string_view bytes) {
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
        throw std::system_error(errno, std::generic_category(), "cannot write the output");
    }
}

/// A body goes straight to the output when it is its turn. Until then it is kept, so that its server need not wait.
Coro<bool> fetch(knit::http::ClientSession& session, const Wish& wish, std::string url, knit::Event* turn,
                 knit::Event& next) {
    Coro<knit::http::ClientResponse> asking = session.request(wish.method, url, wish.options);
    knit::http::ClientResponse response = co_await std::move(asking);
    std::string kept;
    if (wish.shows_heads) {
        kept = std::string(response.is_http2() ? "HTTP/2 " : "HTTP/1.1 ") + std::to_string(response.status()) + " " +
               std::string(knit::http::reason_of(response.status())) + "\n";
        for (const knit::http::Field& field : response.headers()) {
            kept.append(field.name).append(": ").append(field.value).append("\n");
        }
        kept.append("\n");
    }
    for (;;) {
        Coro<std::string_view> reading = response.read_some();
        const std::string_view piece = co_await std::move(reading);
        if (piece.empty()) {
            break;
        }
        kept.append(piece);
        if (turn != nullptr && kept.size() >= kKeptMost) {
            co_await turn->wait();
        }
        if (turn == nullptr || turn->is_set()) {
            print(kept);
            kept.clear();
        }
    }
    if (turn != nullptr) {
        co_await turn->wait();
    }
    print(kept);
    next.set();
    co_return response.ok();
}

Coro<bool> fetch_safely(knit::http::ClientSession& session, const Wish& wish, std::string url, knit::Event* turn,
                        knit::Event& next) {
    try {
        Coro<bool> fetching = fetch(session, wish, url, turn, next);
        co_return co_await std::move(fetching);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "knit-get: %s: %s\n", url.c_str(), error.what());
    }
    if (turn != nullptr) {
        co_await turn->wait();  // those before are still being printed
    }
    next.set();
    co_return false;
}

Coro<int> fetch_all(const Wish& wish) {
    knit::http::SessionOptions options;
    options.trust_env = true;
    options.user_agent = "knit-get";
    options.http_version = wish.version;
    options.limit = 0;  // answers may wait for their turn with their connections, also for one that has none yet
    knit::http::ClientSession session(options);
    std::vector<knit::Event> turns(wish.urls.size());
    std::vector<Coro<bool>> fetches;
    for (std::size_t i = 0; i < wish.urls.size(); ++i) {
        knit::Event* const turn = i == 0 ? nullptr : &turns[i - 1];
        fetches.push_back(fetch_safely(session, wish, wish.urls[i], turn, turns[i]));
    }
    auto gathering = knit::gather(std::move(fetches));
    const std::vector<bool> results = co_await std::move(gathering);
    for (const bool is_good : results) {
        if (!is_good) {
            co_return 1;
        }
    }
    co_return 0;
}

[[noreturn]] void fail(const std::string& problem) {
    std::fprintf(stderr, "error: %s\n%s\n", problem.c_str(), kUsage);
    std::exit(2);
}

long read_seconds(const std::string& text) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc() || end != text.data() + text.size() || seconds < 0) {
        fail("--timeout wants a number of seconds, not " + text);
    }
    return seconds;
}

Wish read_arguments(int argc, char** argv) {
    Wish wish;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const auto value = [&]() -> std::string {
            if (++i == argc) {
                fail(std::string(word) + " wants a value");
            }
            return argv[i];
        };
        if (word == "--help") {
            std::printf("%s\n", kUsage);
            std::exit(0);
        } else if (word == "-i") {
            wish.shows_heads = true;
        } else if (word == "-X") {
            wish.method = value();
            wish.has_method = true;
        } else if (word == "-H") {
            const std::string field = value();
            const std::size_t colon = field.find(':');
            if (colon == std::string::npos) {
                fail("-H wants 'Name: value'");
            }
            const std::size_t start = field.find_first_not_of(' ', colon + 1);
            wish.options.headers.emplace_back(field.substr(0, colon),
                                              start == std::string::npos ? "" : field.substr(start));
        } else if (word == "-d") {
            wish.options.body = value();
            wish.options.content_type = "application/x-www-form-urlencoded";
        } else if (word == "--no-redirect") {
            wish.options.allow_redirects = false;
        } else if (word == "--http1" || word == "--http2") {
            wish.version = word == "--http1" ? knit::http::HttpVersion::http1 : knit::http::HttpVersion::http2;
        } else if (word == "--timeout") {
            knit::http::ClientTimeout timeout;
            timeout.total = std::chrono::seconds(read_seconds(value()));
            wish.options.timeout = timeout;
        } else if (word.starts_with("-")) {
            fail("unknown argument " + std::string(word));
        } else {
            wish.urls.emplace_back(word);
        }
    }
    if (!wish.has_method && !wish.options.body.empty()) {
        wish.method = "POST";
    }
    if (wish.urls.empty()) {
        fail("which URL?");
    }
    return wish;
}

}  // namespace

int main(int argc, char** argv) {
    const Wish wish = read_arguments(argc, argv);
    knit::RunOptions options;
    options.loops = 1;
    try {
        const int status = knit::run(fetch_all(wish), options);
        if (std::fflush(stdout) != 0) {
            throw std::system_error(errno, std::generic_category(), "cannot write the output");
        }
        return status;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "knit-get: %s\n", error.what());
        return 1;
    }
}
