// The client of HTTP/2 with servers that leave it alone.
#include <array>
#include <stdexcept>

#include "http2_test.hpp"

namespace knit::test::h2 {
namespace {

using http::ClientResponse;
using http::ClientSession;
using http::RequestOptions;
using http::RequestWriter;

const std::string kSettingsFrame = frame(kSettings, 0, 0);

std::string setting(char which, std::uint32_t value) {
    return frame(kSettings, 0, 0, std::string(1, '\0') + which + number(value));
}

/// ":status: 204", and the end.
std::string good(std::uint32_t stream) { return frame(kHeaders, kEndStream | kEndHeaders, stream, "\x89"); }

/// The server's end of a connection.
class Peer {
public:
    explicit Peer(io::TcpStream stream) : stream_(std::move(stream)) {}

    /// Until so many requests' heads have come, from the connection's beginning on; false when it ends before.
    Coro<bool> has_come(int count) {
        std::array<char, 4096> buffer;
        for (;;) {
            std::string_view rest = std::string_view(bytes_).substr(std::min(bytes_.size(), kPreface.size()));
            int found = 0;
            while (const auto frame = take_frame(rest)) {
                found += frame->type == kHeaders ? 1 : 0;
            }
            if (found >= count) {
                co_return true;
            }
            const std::size_t size = co_await stream_.read_some(buffer);
            if (size == 0) {
                co_return false;
            }
            bytes_.append(buffer.data(), size);
        }
    }
    Coro<> write(std::string bytes) { co_await stream_.write(bytes); }
    void close() { stream_.close(); }

private:
    io::TcpStream stream_;
    std::string bytes_;
};

Coro<Peer> next_peer(io::TcpListener& listener) {
    io::TcpStream stream = co_await listener.accept();
    co_return Peer(std::move(stream));
}

/// Runs `serve(listener)` beside `ask(session, url)`.
void beside(std::function<Coro<>(io::TcpListener&)> serve, std::function<Coro<>(ClientSession&, std::string)> ask) {
    run_io([&]() -> Coro<> {
        io::TcpListener listener = io::TcpListener::bind("127.0.0.1:0");
        auto serving = create_task(serve(listener));
        {
            ClientSession session(prior_knowledge());
            co_await ask(session, "http://" + listener.local_endpoint().to_string() + "/");
        }
        co_await std::move(serving);
    });
}

Coro<int> status_from(ClientSession& session, std::string method, std::string url) {
    ClientResponse response = co_await session.request(std::move(method), std::move(url));
    co_return response.status();
}

TEST(Http2Peer, ARequestThatHasNotLeftIsSentAgain) {
    const auto serve = [](io::TcpListener& listener) -> Coro<> {
        Peer first = co_await next_peer(listener);
        co_await first.has_come(1);
        co_await first.write(setting(3, 1) + good(1));  // one at a time
        co_await first.has_come(2);
        first.close();
        Peer second = co_await next_peer(listener);
        co_await second.write(setting(3, 1));
        co_await second.has_come(1);
        co_await second.write(good(1));
        co_await second.has_come(2);
        co_await second.write(good(3));
        const bool has_more = co_await second.has_come(3);
        EXPECT_FALSE(has_more);
    };
    beside(serve, [](ClientSession& session, std::string url) -> Coro<> {
        co_await status_from(session, "GET", url);
        std::vector<Coro<int>> asking;
        asking.push_back(status_from(session, "GET", url));
        asking.push_back(status_from(session, "POST", url));
        auto gathering = gather(std::move(asking));
        const std::vector<int> statuses = co_await std::move(gathering);
        EXPECT_EQ(statuses[0], 204);
        EXPECT_EQ(statuses[1], 204) << "it stood behind the other, and has not left";
    });
}

TEST(Http2Peer, AServerThatHasVanishedGetsNoFurtherRequests) {
    const auto serve = [](io::TcpListener& listener) -> Coro<> {
        Peer first = co_await next_peer(listener);
        co_await first.has_come(1);
        co_await first.write(kSettingsFrame + good(1));
        co_await first.has_come(2);
        Peer second = co_await next_peer(listener);
        co_await second.has_come(1);
        co_await second.write(kSettingsFrame + good(1));
        const bool has_more = co_await first.has_come(3);
        EXPECT_FALSE(has_more);
    };
    beside(serve, [](ClientSession& session, std::string url) -> Coro<> {
        co_await status_from(session, "GET", url);
        RequestOptions options;
        options.timeout = http::ClientTimeout{.read = 20ms};
        EXPECT_THROW(co_await session.get(url, options), TimeoutError);
        const int status = co_await status_from(session, "GET", url);
        EXPECT_EQ(status, 204);
    });
}

TEST(Http2Peer, AHeadThatIsTooLargeIsTheAnswersFault) {
    const auto serve = [](io::TcpListener& listener) -> Coro<> {
        Peer peer = co_await next_peer(listener);
        co_await peer.has_come(1);
        // 0x40: into the table, from where 0xbe brings it back, one byte for 4,000.
        const std::string kept = std::string("\x40\x01x") + field("", std::string(4000, 'v')).substr(2);
        const std::string block = "\x88" + kept + std::string(40, '\xbe');
        co_await peer.write(kSettingsFrame + frame(kHeaders, kEndStream | kEndHeaders, 1, block));
        co_await peer.has_come(2);
    };
    beside(serve, [](ClientSession& session, std::string url) -> Coro<> {
        std::string text;
        try {
            co_await session.get(url);
        } catch (const http::ServerProtocolError& error) {
            text = error.what();
        }
        EXPECT_NE(text.find("too large"), std::string::npos) << text;
    });
}

TEST(Http2Peer, WhatABodysFunctionThrowsDoesNotWaitForTheServer) {
    Event is_done;
    const auto serve = [&is_done](io::TcpListener& listener) -> Coro<> {
        Peer peer = co_await next_peer(listener);
        co_await peer.has_come(1);
        // Endless windows, and no reading: the socket's buffers are full at some time.
        co_await peer.write(setting(4, 0x7fff'ffff) + frame(kWindow, 0, 0, number(0x7fff'0000)));
        co_await is_done.wait();
    };
    beside(serve, [&is_done](ClientSession& session, std::string url) -> Coro<> {
        RequestOptions options;
        options.stream = [](RequestWriter& writer) -> Coro<> {
            const std::string piece(std::size_t{1} << 20, 'x');
            for (;;) {
                try {
                    co_await wait_for(writer.write(piece), 200ms);
                } catch (const TimeoutError&) {
                    throw std::out_of_range("mine");
                }
            }
        };
        options.timeout = http::ClientTimeout{.total = 30s};
        EXPECT_THROW(co_await session.post(url, options), std::out_of_range);
        is_done.set();
    });
}

}  // namespace
}  // namespace knit::test::h2
