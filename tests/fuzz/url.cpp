// Fuzzes URLs: what is taken is put together as a URL that is the same, and is fit for the line of a request.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cookies.hpp"
#include "knit/http/error.hpp"
#include "knit/http/url.hpp"
#include "text.hpp"

namespace {

void check(const knit::http::Url& url) {
    for (const char letter : url.target()) {
        if (static_cast<unsigned char>(letter) <= 0x20 || static_cast<unsigned char>(letter) >= 0x7f) {
            std::abort();
        }
    }
    if (url.target().front() != '/' || knit::http::Url(url.to_string()).to_string() != url.to_string()) {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    try {
        check(knit::http::Url(bytes));
    } catch (const knit::http::InvalidUrl&) {
        static_cast<void>(0);  // the usual case
    }
    const knit::http::Url base("http://a/b/c?d");
    try {
        check(base.join(bytes));
    } catch (const knit::http::InvalidUrl&) {
        static_cast<void>(0);
    }
    knit::http::detail::CookieJar jar;
    jar.store(base, bytes, 1000);
    static_cast<void>(jar.field_for(base, 1000));
    static_cast<void>(knit::http::detail::percent_decode(bytes));
    static_cast<void>(knit::http::detail::parse_http_date(bytes));
    return 0;
}
