/// HttpError: an answer that is thrown; and what the client throws.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "knit/error.hpp"

namespace knit::http {

/// "Not Found" for 404; empty for a number that has no name.
std::string_view reason_of(int status) noexcept;

/// Thrown by a handler it becomes the answer, with `text` as its body, or number and name of the status. aiohttp's
/// HTTPException. Thrown by the server's own reading of a body: 400, 408, 413.
class HttpError : public std::runtime_error {
public:
    explicit HttpError(int status, std::string text = {});
    int status() const noexcept { return status_; }
    const std::string& text() const noexcept { return text_; }

private:
    int status_;
    std::string text_;
};

/// A URL that is none; the text says what is wrong with it.
struct InvalidUrl : ValueError {
    using ValueError::ValueError;
};

/// What a client meets: the root of those below.
struct ClientError : std::runtime_error {
    using std::runtime_error::runtime_error;
};
/// The server speaks no HTTP, or ended the connection in the middle of an answer.
struct ServerProtocolError : ClientError {
    using ClientError::ClientError;
};
struct TooManyRedirects : ClientError {
    using ClientError::ClientError;
};
/// raise_for_status() of an answer of 400 or more.
class ResponseError : public ClientError {
public:
    ResponseError(int status, const std::string& text) : ClientError(text), status_(status) {}
    int status() const noexcept { return status_; }

private:
    int status_;
};
/// More bytes than the caller's limit.
struct BodyTooLarge : ClientError {
    using ClientError::ClientError;
};

}  // namespace knit::http
