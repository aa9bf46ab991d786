#include "knit/http/response.hpp"

#include <cerrno>
#include <system_error>

#include "knit/error.hpp"
#include "knit/http/fields.hpp"
#include "knit/loop.hpp"
#include "text.hpp"

namespace knit::http {
namespace {

void check_status(int status) {
    if (status < 200 || status > 599) {
        throw ValueError("a response's status is 200 to 599, not " + std::to_string(status) +
                         "; for 101 there is Response::upgrade()");
    }
}

void append_field(std::string& fields, std::string_view name, std::string_view value) {
    fields.append(name).append(": ").append(value).append("\r\n");
}

void erase_field(std::string& fields, std::string_view name) {
    for (std::size_t at = 0; at < fields.size();) {
        const std::size_t size = fields.find('\n', at) + 1 - at;
        const std::string_view line = std::string_view(fields).substr(at, size);
        if (equals_ignoring_case(line.substr(0, line.find(':')), name)) {
            fields.erase(at, size);
        } else {
            at += size;
        }
    }
}

}  // namespace

Coro<> detail::write_body_owned(std::shared_ptr<BodySink> sink, std::string bytes) {
    Coro<> writing = write_body(std::move(sink), bytes);
    co_await std::move(writing);
}

Response::Response(int status, std::string body) : status_(status), body_(std::move(body)) {
    check_status(status);
    if (!body_.empty()) {
        type_ = "text/plain; charset=utf-8";
    }
}

Response Response::typed(std::string_view type, std::string body) {
    Response response;
    response.type_ = type;
    response.body_ = std::move(body);
    return response;
}

Response Response::literal(std::string_view body) {
    Response response;
    response.type_ = "text/plain; charset=utf-8";
    response.literal_ = body;
    return response;
}

Response Response::literal(std::string_view body, std::string_view content_type) {
    Response response;
    response.literal_ = body;
    return std::move(response.header("Content-Type", content_type));
}

Response Response::stream(Producer produce, std::optional<std::uint64_t> length) {
    if (!produce) {
        throw ValueError("Response::stream() needs a function that writes the body: this one is empty");
    }
    Response response;
    response.extra_ = std::make_unique<Extra>();
    response.extra_->produce = std::move(produce);
    response.extra_->length = length;
    return response;
}

Response Response::file(io::File file, std::uint64_t offset, std::uint64_t count) {
    Response response;
    response.extra_ = std::make_unique<Extra>();
    response.extra_->file = std::move(file);
    response.extra_->offset = offset;
    response.extra_->length = count;
    return response;
}

Response Response::upgrade(Upgrade run) {
    if (!run) {
        throw ValueError("Response::upgrade() needs a function that has the connection then: this one is empty");
    }
    Response response;
    response.status_ = 101;
    response.extra_ = std::make_unique<Extra>();
    response.extra_->upgrade = std::move(run);
    return response;
}

Response& Response::status(int status) & {
    check_status(status);
    if (extra_ != nullptr && extra_->upgrade) {
        throw ValueError("the status of Response::upgrade() is 101: return another Response to refuse the change");
    }
    status_ = status;
    return *this;
}

Response& Response::header(std::string_view name, std::string_view value) & {
    if (!detail::is_token(name) || !detail::is_field_value(value)) {
        throw ValueError("a header field's name is letters, digits and dashes, and its value has no control "
                         "characters: \"" + std::string(name) + "\" is refused");
    }
    for (const std::string_view own : {"Content-Length", "Transfer-Encoding", "Connection"}) {
        if (equals_ignoring_case(name, own)) {
            throw ValueError(std::string(own) + " is said by the server: use Response::stream()'s length for a "
                             "streamed body's, close() for Connection: close");
        }
    }
    if (equals_ignoring_case(name, "Content-Type")) {
        type_ = {};
        erase_field(fields_, name);
    }
    has_date_ = has_date_ || equals_ignoring_case(name, "Date");
    append_field(fields_, name, value);
    return *this;
}

Response& Response::content_type(std::string type) & { return header("Content-Type", type); }

Response& Response::cookie(std::string_view name, std::string_view value, std::string_view attributes) & {
    if (!detail::is_token(name) || value.find_first_of(" \t\",;\\") != std::string_view::npos) {
        throw ValueError("a cookie's name is a token and its value has no blanks, quotes, commas, semicolons or "
                         "backslashes: encode the value of \"" + std::string(name) + "\" first");
    }
    std::string text(name);
    text.append("=").append(value);
    if (!attributes.empty()) {
        text.append("; ").append(attributes);
    }
    return header("Set-Cookie", text);
}

Response& Response::close() & noexcept {
    closes_ = true;
    return *this;
}

Coro<> detail::write_body(std::shared_ptr<BodySink> sink, std::string_view bytes) {
    if (bytes.empty()) {
        co_return;
    }
    co_await resume_on(sink->loop);
    if (sink->exchange == nullptr) {
        throw std::system_error(ECANCELED, std::generic_category(),
                                "the function that was given to Response::stream() has ended, and the answer with it");
    }
    Coro<> writing = sink->exchange->write_body(bytes);
    co_await std::move(writing);
}

}  // namespace knit::http
