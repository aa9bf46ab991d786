#include "knit/http/request.hpp"

#include "knit/error.hpp"
#include "knit/http/error.hpp"
#include "text.hpp"

namespace knit::http {

bool detail::Exchange::open(Request& request, const Head& head, std::size_t body_max) {
    return request.open(head, *this, body_max);
}

void detail::Exchange::forget(Request& request) noexcept { request.forget(); }

void Request::forget() noexcept {
    path_ = raw_path_ = query_ = {};
    for (auto& [name, value] : params_) {
        value = {};
    }
}

bool Request::open(const detail::Head& head, detail::Exchange& exchange, std::size_t body_max) {
    head_ = &head;
    exchange_ = &exchange;
    body_max_ = body_max;
    params_.clear();
    std::string_view rest = head.target;
    if (const std::size_t scheme = rest.find("://"); scheme != std::string_view::npos && !rest.starts_with('/')) {
        rest.remove_prefix(scheme + 3);  // the absolute form, which a proxy is sent and every server has to take
        const std::size_t path = rest.find_first_of("/?");
        rest.remove_prefix(path == std::string_view::npos ? rest.size() : path);
    }
    rest = detail::cut(rest, '#');
    raw_path_ = detail::cut(rest, '?');
    query_ = rest;
    if (raw_path_.empty()) {
        raw_path_ = "/";
    }
    path_ = raw_path_;
    if (raw_path_.find('%') != std::string_view::npos) {
        std::optional<std::string> decoded = detail::percent_decode(raw_path_);
        if (!decoded) {
            return false;
        }
        decoded_ = std::make_unique<const std::string>(std::move(*decoded));
        path_ = *decoded_;
    }
    const bool is_authority = head.method == "CONNECT";
    return is_authority || path_.front() == '/' || (path_ == "*" && head.method == "OPTIONS");
}

std::optional<std::string> Request::query(std::string_view name) const {
    for (std::string_view rest = query_; !rest.empty();) {
        std::string_view value = detail::cut(rest, '&');
        const std::string_view key = detail::cut(value, '=');
        if (detail::percent_decode(key, true) == name) {
            return detail::percent_decode(value, true).value_or(std::string(value));
        }
    }
    return std::nullopt;
}

std::optional<std::string_view> Request::cookie(std::string_view name) const noexcept {
    for (const Field& field : head_->fields) {
        if (!equals_ignoring_case(field.name, "cookie")) {
            continue;
        }
        for (std::string_view rest = field.value; !rest.empty();) {
            std::string_view value = detail::trim(detail::cut(rest, ';'));
            if (detail::cut(value, '=') == name) {
                return value;
            }
        }
    }
    return std::nullopt;
}

std::string_view Request::param(std::string_view name) const {
    for (const auto& [key, value] : params_) {
        if (key == name) {
            return value;
        }
    }
    throw LookupError("the route of this request has no {" + std::string(name) + "}");
}

std::optional<std::uint64_t> Request::content_length() const noexcept {
    return head_->framing == detail::Framing::chunked ? std::nullopt : std::optional(head_->length);
}

Coro<std::string_view> Request::read_piece(std::uint16_t number) {
    Coro<std::string_view> reading = exchange_->read_body(number);
    co_return co_await std::move(reading);
}

Coro<std::string> Request::read_text(std::uint16_t number) {
    if (head_->framing == detail::Framing::sized && head_->length > body_max_) {
        throw HttpError(413);
    }
    std::string text;
    for (;;) {
        Coro<std::string_view> reading = exchange_->read_body(number);
        const std::string_view piece = co_await std::move(reading);
        if (piece.empty()) {
            co_return text;
        }
        if (text.size() + piece.size() > body_max_) {
            throw HttpError(413);
        }
        text.append(piece);
    }
}

}  // namespace knit::http
