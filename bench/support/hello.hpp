/// Hello: the HTTP side of the servers that are written without knit. Far less than a parser: it finds where requests
/// without a body end, so that nobody can say that a peer lost by its parser. knit's own server parses with llhttp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <string_view>

namespace bench {

/// One for each connection.
class Hello {
public:
    /// The answers to the requests that end within `bytes`; empty if none does. Good until the next call.
    std::string_view answers_to(std::string_view bytes) {
        answers_.clear();
        for (const char letter : bytes) {
            constexpr std::string_view kEnd = "\r\n\r\n";
            if (letter == kEnd[matched_]) {
                ++matched_;
            } else {
                matched_ = letter == '\r' ? 1 : 0;
            }
            if (matched_ == kEnd.size()) {
                matched_ = 0;
                ++answered_;
                answers_.append(answer());
            }
        }
        return answers_;
    }

    std::uint64_t answered() const { return answered_; }

private:
    /// Of the size and the fields that knit's server sends; the date is formatted at most once a second.
    static std::string_view answer() {
        thread_local std::time_t second = -1;
        thread_local std::string text;
        const std::time_t now = std::time(nullptr);
        if (now != second) {
            second = now;
            std::tm parts{};
            gmtime_r(&now, &parts);
            char date[64];
            const std::size_t length = std::strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
            text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\nDate: ";
            text.append(date, length).append("\r\n\r\nHello, world!\n");
        }
        return text;
    }

    std::string answers_;
    std::size_t matched_ = 0;
    std::uint64_t answered_ = 0;
};

}  // namespace bench
