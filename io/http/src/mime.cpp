#include <algorithm>
#include <array>
#include <utility>

#include "knit/http/static_files.hpp"
#include "text.hpp"

namespace knit::http {
namespace {

using Type = std::pair<std::string_view, std::string_view>;

constexpr std::array kTypes = {
    Type{"aac", "audio/aac"},
    Type{"avif", "image/avif"},
    Type{"bmp", "image/bmp"},
    Type{"bz2", "application/x-bzip2"},
    Type{"css", "text/css; charset=utf-8"},
    Type{"csv", "text/csv; charset=utf-8"},
    Type{"epub", "application/epub+zip"},
    Type{"flac", "audio/flac"},
    Type{"gif", "image/gif"},
    Type{"gz", "application/gzip"},
    Type{"htm", "text/html; charset=utf-8"},
    Type{"html", "text/html; charset=utf-8"},
    Type{"ico", "image/vnd.microsoft.icon"},
    Type{"jpeg", "image/jpeg"},
    Type{"jpg", "image/jpeg"},
    Type{"js", "text/javascript; charset=utf-8"},
    Type{"json", "application/json"},
    Type{"md", "text/markdown; charset=utf-8"},
    Type{"mjs", "text/javascript; charset=utf-8"},
    Type{"mp3", "audio/mpeg"},
    Type{"mp4", "video/mp4"},
    Type{"mpeg", "video/mpeg"},
    Type{"oga", "audio/ogg"},
    Type{"ogg", "audio/ogg"},
    Type{"ogv", "video/ogg"},
    Type{"otf", "font/otf"},
    Type{"pdf", "application/pdf"},
    Type{"png", "image/png"},
    Type{"svg", "image/svg+xml"},
    Type{"tar", "application/x-tar"},
    Type{"tif", "image/tiff"},
    Type{"tiff", "image/tiff"},
    Type{"ttf", "font/ttf"},
    Type{"txt", "text/plain; charset=utf-8"},
    Type{"wasm", "application/wasm"},
    Type{"wav", "audio/wav"},
    Type{"webm", "video/webm"},
    Type{"webmanifest", "application/manifest+json"},
    Type{"webp", "image/webp"},
    Type{"woff", "font/woff"},
    Type{"woff2", "font/woff2"},
    Type{"xhtml", "application/xhtml+xml"},
    Type{"xml", "application/xml"},
    Type{"xz", "application/x-xz"},
    Type{"zip", "application/zip"},
    Type{"zst", "application/zstd"},
};
static_assert(std::ranges::is_sorted(kTypes, {}, &Type::first));

}  // namespace

std::string_view mime_type_of(std::string_view name) noexcept {
    constexpr std::string_view kUnknown = "application/octet-stream";
    const std::size_t dot = name.rfind('.');
    std::array<char, 12> lower{};
    if (dot == std::string_view::npos || name.size() - dot - 1 > lower.size()) {
        return kUnknown;
    }
    const std::string_view ending = name.substr(dot + 1);
    std::ranges::transform(ending, lower.begin(), detail::to_lower);
    const std::string_view wanted(lower.data(), ending.size());
    const auto found = std::ranges::lower_bound(kTypes, wanted, {}, &Type::first);
    return found != kTypes.end() && found->first == wanted ? found->second : kUnknown;
}

}  // namespace knit::http
