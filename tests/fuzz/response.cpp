// Fuzzes the reading of answers' heads and of conditions and ranges.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "conditions.hpp"
#include "knit/http/detail/head.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    knit::http::detail::HeadScan scan;
    if (scan.scan(bytes, {}) != 200) {
        return 0;
    }
    const std::string_view text = bytes.substr(scan.begin(), scan.size() - scan.begin());
    knit::http::detail::Head head;
    if (knit::http::detail::read_response_head(text, "GET", head)) {
        if (head.status < 100 || head.status > 999) {
            std::abort();
        }
    }
    if (knit::http::detail::read_request_head(text, head) == 200) {
        const knit::http::detail::Validators file{"\"tag\"", 784'111'777};
        for (const auto& range : knit::http::detail::check_ranges(head.fields, "GET", file, 1000)) {
            if (range.offset + range.count > 1000 || (range.status == 206 && range.count == 0)) {
                std::abort();
            }
        }
        static_cast<void>(knit::http::detail::check_conditions(head.fields, "GET", file));
    }
    return 0;
}
