#include "knit/http/detail/head.hpp"

#include <llhttp/llhttp.h>

#include <cstring>

#include "text.hpp"

namespace knit::http::detail {
namespace {

constexpr int kOk = 200;
constexpr int kBad = 400;

Head& head_of(llhttp_t* parser) noexcept { return *static_cast<Head*>(parser->data); }

int take_target(llhttp_t* parser, const char* bytes, std::size_t size) {
    head_of(parser).target = {bytes, size};
    return 0;
}

int take_name(llhttp_t* parser, const char* bytes, std::size_t size) {
    head_of(parser).fields.add({bytes, size});
    return 0;
}

int take_value(llhttp_t* parser, const char* bytes, std::size_t size) {
    Fields& fields = head_of(parser).fields;
    if (fields.empty() || !fields.last().value.empty()) {
        return -1;  // a value in two pieces is folded, which no line of ours is
    }
    fields.last().value = trim({bytes, size});
    return 0;
}

int stop(llhttp_t*) { return HPE_PAUSED; }

const llhttp_settings_t& settings() noexcept {
    static const llhttp_settings_t callbacks = [] {
        llhttp_settings_t made;
        llhttp_settings_init(&made);
        made.on_url = take_target;
        made.on_header_field = take_name;
        made.on_header_value = take_value;
        made.on_headers_complete = stop;
        return made;
    }();
    return callbacks;
}

void clear(Head& head) noexcept {
    head.method = head.target = {};
    head.fields.clear();
    head.length = 0;
    head.status = 0;
    head.framing = Framing::none;
    head.is_http10 = head.is_http2 = head.keeps_alive = head.expects_continue = head.wants_upgrade = false;
}

/// The first line of a request: method, one blank, target, one blank, version; llhttp forgives more blanks.
int read_request_line(std::string_view line, Head& head) noexcept {
    std::string_view rest = line;
    head.method = cut(rest, ' ');
    const std::string_view target = cut(rest, ' ');
    if (!is_token(head.method) || !is_target(target) || rest.size() != 8 ||
        !rest.starts_with("HTTP/") || !is_digit(rest[5]) || rest[6] != '.' || !is_digit(rest[7])) {
        return kBad;
    }
    return rest == "HTTP/1.1" || rest == "HTTP/1.0" ? kOk : 505;
}

/// What is said more than once, or by two fields, is refused (RFC 9112, 6.3).
struct Lengths {
    int content_lengths = 0;
    int transfer_encodings = 0;
    int hosts = 0;
    bool is_good = true;
    bool is_known_coding = true;
    bool has_connection = false;
    bool has_upgrade = false;
};

void take_field(const Field& field, Head& head, Lengths& lengths) noexcept {
    switch (field.name.size()) {
    case 4:
        if (equals_ignoring_case(field.name, "host")) {
            ++lengths.hosts;
            lengths.is_good = lengths.is_good && kHost.has_all(field.value);
        }
        break;
    case 6:
        head.expects_continue = head.expects_continue || (equals_ignoring_case(field.name, "expect") &&
                                                          equals_ignoring_case(field.value, "100-continue"));
        break;
    case 7:
        lengths.has_upgrade = lengths.has_upgrade || equals_ignoring_case(field.name, "upgrade");
        break;
    case 10:
        lengths.has_connection = lengths.has_connection || equals_ignoring_case(field.name, "connection");
        break;
    case 14:
        if (equals_ignoring_case(field.name, "content-length")) {
            const auto length = to_number(field.value);
            ++lengths.content_lengths;
            lengths.is_good = lengths.is_good && length && *length <= (std::uint64_t{1} << 62);
            head.length = length.value_or(0);
        }
        break;
    case 17:
        if (equals_ignoring_case(field.name, "transfer-encoding")) {
            ++lengths.transfer_encodings;
            lengths.is_known_coding = lengths.is_known_coding && equals_ignoring_case(field.value, "chunked");
        }
        break;
    default:
        break;
    }
}

/// Lengths and names of fields, of requests and answers alike.
int read_fields(Head& head, Lengths& lengths) noexcept {
    for (const Field& field : head.fields) {
        if (!is_token(field.name) || !is_field_value(field.value)) {
            return kBad;
        }
        take_field(field, head, lengths);
    }
    const bool is_twice = lengths.content_lengths + lengths.transfer_encodings > 1;
    if (!lengths.is_good || is_twice || (lengths.transfer_encodings != 0 && head.is_http10)) {
        return kBad;
    }
    return lengths.is_known_coding ? kOk : 501;
}

bool wants_keep_alive(const Head& head, const Lengths& lengths) noexcept {
    if (!lengths.has_connection) {
        return !head.is_http10;
    }
    if (head.is_http10) {
        return head.fields.has_token("connection", "keep-alive") && !head.fields.has_token("connection", "close");
    }
    return !head.fields.has_token("connection", "close");
}

/// The absolute form's host stands for the field, which is to be ignored (RFC 9112, 3.2.2); false when there is none.
bool take_authority(Head& head) {
    const std::size_t scheme = head.target.find("://");
    if (scheme == std::string_view::npos || head.target.starts_with('/') || head.method == "CONNECT") {
        return true;
    }
    std::string_view host = head.target.substr(scheme + 3);
    host = host.substr(0, host.find_first_of("/?#"));
    host.remove_prefix(host.rfind('@') + 1);  // npos + 1 is 0
    if (host.empty() || !kHost.has_all(host)) {
        return false;
    }
    head.fields.set("Host", host);
    return true;
}

}  // namespace

int HeadScan::scan(std::string_view bytes, const HeadLimits& limits) noexcept {
    while (!is_complete_) {
        const std::size_t from = line_ + seen_;
        const void* const found =
            from < bytes.size() ? std::memchr(bytes.data() + from, '\n', bytes.size() - from) : nullptr;
        if (found == nullptr) {
            seen_ = bytes.size() - line_;
            const bool is_first = count_ == 0;
            if (is_first && seen_ > limits.line_max) {
                return 414;
            }
            return bytes.size() > limits.size_max ? 431 : 0;
        }
        const std::size_t end = static_cast<std::size_t>(static_cast<const char*>(found) - bytes.data());
        const int status = take_line(bytes.substr(line_, end - line_), limits);
        line_ = end + 1;
        seen_ = 0;
        if (status != kOk) {
            return status;
        }
        if (count_ == 0) {
            begin_ = line_;
        }
        if (line_ > limits.size_max) {
            return 431;
        }
    }
    return kOk;
}

/// A line without its LF.
int HeadScan::take_line(std::string_view line, const HeadLimits& limits) noexcept {
    if (line.empty() || line.back() != '\r' || line.find('\r') != line.size() - 1) {
        return kBad;
    }
    if (line.size() == 1) {
        is_complete_ = count_ != 0;  // an empty line before the first one is passed over (RFC 9112, 2.2)
        return kOk;
    }
    if (is_blank(line.front())) {
        return kBad;
    }
    if (count_ == 0 && line.size() > limits.line_max) {
        return 414;
    }
    return ++count_ > limits.count_max + 1 ? 431 : kOk;
}

int read_request_head(std::string_view bytes, Head& head) {
    clear(head);
    if (const int status = read_request_line(bytes.substr(0, bytes.find('\r')), head); status != kOk) {
        return status;
    }
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings());
    parser.data = &head;
    const llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), bytes.size());
    if (error == HPE_INVALID_METHOD) {
        return 501;
    }
    if (error != HPE_PAUSED) {
        return kBad;
    }
    head.is_http10 = parser.http_minor == 0;
    Lengths lengths;
    if (const int status = read_fields(head, lengths); status != kOk) {
        return status;
    }
    if (lengths.hosts > 1 || (lengths.hosts == 0 && !head.is_http10) || !take_authority(head)) {
        return kBad;
    }
    head.framing = lengths.transfer_encodings != 0 ? Framing::chunked
                   : head.length != 0              ? Framing::sized
                                                   : Framing::none;
    head.keeps_alive = wants_keep_alive(head, lengths);
    head.wants_upgrade = lengths.has_upgrade && head.fields.has_token("connection", "upgrade");
    head.expects_continue = head.expects_continue && !head.is_http10;
    return kOk;
}

bool read_response_head(std::string_view bytes, std::string_view method, Head& head) {
    clear(head);
    llhttp_t parser;
    llhttp_init(&parser, HTTP_RESPONSE, &settings());
    parser.data = &head;
    if (llhttp_execute(&parser, bytes.data(), bytes.size()) != HPE_PAUSED || parser.http_major != 1) {
        return false;
    }
    head.status = parser.status_code;
    head.is_http10 = parser.http_minor == 0;
    Lengths lengths;
    if (read_fields(head, lengths) != kOk || head.status < 100) {
        return false;
    }
    head.keeps_alive = wants_keep_alive(head, lengths);
    const bool has_no_body = head.status < 200 || head.status == 204 || head.status == 304 || method == "HEAD" ||
                             (method == "CONNECT" && head.status < 300);
    if (has_no_body) {
        head.framing = Framing::none;
    } else if (lengths.transfer_encodings != 0) {
        head.framing = Framing::chunked;
    } else if (lengths.content_lengths != 0) {
        head.framing = head.length != 0 ? Framing::sized : Framing::none;
    } else {
        head.framing = Framing::until_close;
        head.keeps_alive = false;
    }
    return true;
}

}  // namespace knit::http::detail
