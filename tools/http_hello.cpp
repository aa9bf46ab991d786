// HTTP/1.1 server on knit that answers every request with a short greeting: keep-alive, pipelining, parsed by llhttp.
#include <llhttp/llhttp.h>
#include <knit/knit.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "support/server_main.hpp"
#include "support/tally.hpp"

namespace {

constexpr std::string_view kBody = "Hello, world!\n";
constexpr std::size_t kHeadMax = 16384;
constexpr std::size_t kDrainMax = 65536;

/// The Date line of the answers, formatted at most once a second; one for each loop.
class Date {
public:
    std::string_view line() {
        const std::time_t now = std::time(nullptr);
        if (now != second_) {
            second_ = now;
            std::tm parts{};
            gmtime_r(&now, &parts);
            length_ = std::strftime(text_.data(), text_.size(), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &parts);
        }
        return {text_.data(), length_};
    }

private:
    std::time_t second_ = -1;
    std::size_t length_ = 0;
    std::array<char, 64> text_{};
};

struct Service {
    bench::Tally tally;
    std::array<Date, bench::Tally::kLoopsMost> dates;
};

/// The requests of one connection, and the answers to those that are complete.
class Parser {
public:
    explicit Parser(Date& date) : date_(date) {
        llhttp_init(&parser_, HTTP_REQUEST, &settings());
        parser_.data = this;
    }
    Parser(const Parser&) = delete;
    Parser& operator=(const Parser&) = delete;

    /// Takes what was read; answers() then holds an answer for each request that it completed.
    void feed(std::string_view bytes) {
        answers_.clear();
        const llhttp_errno_t result = llhttp_execute(&parser_, bytes.data(), bytes.size());
        head_bytes_ += is_in_head_ ? bytes.size() : 0;
        if (is_last_) {
            return;  // the callback stopped the parser after the last request that this connection may bring
        }
        if (result != HPE_OK) {
            refuse("400 Bad Request");
        } else if (head_bytes_ > kHeadMax) {
            refuse("431 Request Header Fields Too Large");
        }
    }

    std::string_view answers() const { return answers_; }
    std::uint64_t answered() const { return answered_; }
    /// No further request will be answered: the connection is to be closed after the answers.
    bool is_last() const { return is_last_; }

private:
    static Parser& of(llhttp_t* parser) { return *static_cast<Parser*>(parser->data); }

    static const llhttp_settings_t& settings() {
        static const llhttp_settings_t callbacks = [] {
            llhttp_settings_t made;
            llhttp_settings_init(&made);
            made.on_message_begin = [](llhttp_t* parser) { return of(parser).on_begin(); };
            made.on_headers_complete = [](llhttp_t* parser) { return of(parser).on_head(); };
            made.on_message_complete = [](llhttp_t* parser) { return of(parser).on_complete(); };
            return made;
        }();
        return callbacks;
    }

    int on_begin() {
        is_in_head_ = true;
        head_bytes_ = 0;
        return 0;
    }

    int on_head() {
        is_in_head_ = false;
        head_bytes_ = 0;
        return 0;
    }

    int on_complete() {
        ++answered_;
        const bool is_kept = llhttp_should_keep_alive(&parser_) != 0 && parser_.upgrade == 0;
        // HTTP/1.0 keeps a connection only when both sides have said so.
        const bool is_old = parser_.http_major == 1 && parser_.http_minor == 0;
        append("200 OK", !is_kept ? "Connection: close\r\n" : is_old ? "Connection: keep-alive\r\n" : "");
        is_last_ = !is_kept;
        return is_kept ? 0 : HPE_PAUSED;
    }

    void refuse(std::string_view status) {
        is_last_ = true;
        append(status, "Connection: close\r\n");
    }

    void append(std::string_view status, std::string_view connection) {
        const std::string_view body = status.starts_with("200") ? kBody : std::string_view();
        answers_.append("HTTP/1.1 ").append(status).append("\r\nContent-Type: text/plain\r\nContent-Length: ");
        answers_.append(std::to_string(body.size())).append("\r\n").append(date_.line());
        answers_.append(connection).append("\r\n");
        if (parser_.method != HTTP_HEAD) {
            answers_.append(body);
        }
    }

    Date& date_;
    llhttp_t parser_{};
    std::string answers_;
    std::uint64_t answered_ = 0;
    std::size_t head_bytes_ = 0;
    bool is_in_head_ = true;
    bool is_last_ = false;
};

/// Cancels the running task when it lives longer than the time given.
class Limit {
public:
    explicit Limit(knit::Duration time)
        : handle_(
              knit::get_running_loop().call_later(time, [task = *knit::current_task()]() mutable { task.cancel(); })) {}
    Limit(const Limit&) = delete;
    Limit& operator=(const Limit&) = delete;
    ~Limit() { handle_.cancel(); }

private:
    knit::Handle handle_;
};

/// Closing with bytes unread would reset the connection and could take the last answer away: reads them first, but
/// neither many nor for long.
knit::Coro<> close_gently(knit::io::TcpStream& stream, std::span<char> buffer) {
    const Limit limit(std::chrono::seconds(1));
    stream.shutdown();
    for (std::size_t drained = 0; drained < kDrainMax;) {
        const std::size_t count = co_await stream.read_some(buffer);
        if (count == 0) {
            break;
        }
        drained += count;
    }
}

knit::Coro<> answer_all(knit::io::TcpStream& stream, Service& service) {
    const unsigned loop = knit::get_running_loop().id();
    bench::Tally::Share share(service.tally, loop);
    Parser parser(service.dates[loop % bench::Tally::kLoopsMost]);
    std::array<char, 2048> buffer;
    while (!parser.is_last()) {
        const std::size_t count = co_await stream.read_some(std::span<char>(buffer));
        if (count == 0) {
            co_return;
        }
        const std::uint64_t before = parser.answered();
        parser.feed({buffer.data(), count});
        if (!parser.answers().empty()) {
            co_await stream.write(parser.answers());
        }
        share.add(parser.answered() - before);
    }
    co_await close_gently(stream, buffer);
}

knit::Coro<> answer(knit::io::TcpStream stream, Service& service) {
    try {
        co_await answer_all(stream, service);
    } catch (const std::system_error& error) {
        if (!bench::is_peer_gone(error)) {
            throw;
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const auto service = std::make_unique<Service>();
    return bench::server_main(argc, argv, "http_hello", service->tally,
                              [&service](knit::io::TcpStream stream) { return answer(std::move(stream), *service); });
}
