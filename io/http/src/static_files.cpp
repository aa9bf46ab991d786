#include "knit/http/static_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "conditions.hpp"
#include "knit/as_result.hpp"
#include "knit/detail/base.hpp"
#include "knit/error.hpp"
#include "knit/http/error.hpp"
#include "knit/http/router.hpp"
#include "knit/io/file.hpp"
#include "knit/log.hpp"
#include "text.hpp"

namespace knit::http {
namespace {

using detail::Validators;

constexpr std::string_view kPathKept = "-._~!$&'()*+,;=:@/";

struct Folder {
    std::string prefix;  ///< of the paths, with a '/' at its end
    std::filesystem::path root;
    StaticOptions options;
};

/// Whether nothing in the path leads out of the folder, or is no name of a file.
bool is_safe(std::string_view path) noexcept {
    if (path.starts_with('/') || path.find('\0') != std::string_view::npos) {
        return false;
    }
    for (std::string_view rest = path; !rest.empty();) {
        const std::string_view part = detail::cut(rest, '/');
        if (part == ".." || part == "." || (part.empty() && !rest.empty())) {
            return false;
        }
    }
    return true;
}

/// A line a second is enough for whoever has to raise a limit.
void log_shortage(const std::error_code& code) {
    static knit::detail::Atomic<std::int64_t> told{-1};  // the last second with a line; any thread, publishes nothing
    const auto since = std::chrono::steady_clock::now().time_since_epoch();
    const std::int64_t now = std::chrono::floor<std::chrono::seconds>(since).count();
    if (told.exchange(now, std::memory_order_relaxed) != now) {  // relaxed: a number alone
        knit::detail::log(LogLevel::warning,
                          "knit: http: files are answered with 503, none can be opened: " + code.message());
    }
}

/// In a handler of the exception whose code it is: the answer to who has asked for that, or the exception itself.
[[noreturn]] void throw_as_answer(const std::error_code& code) {
    if (code == std::errc::permission_denied || code == std::errc::operation_not_permitted) {
        throw HttpError(403);
    }
    if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory ||
        code == std::errc::filename_too_long || code == std::errc::too_many_symbolic_link_levels ||
        code == std::errc::no_such_device_or_address) {
        throw HttpError(404);
    }
    if (code == std::errc::too_many_files_open || code == std::errc::too_many_files_open_in_system ||
        code == std::errc::not_enough_memory) {
        log_shortage(code);
        throw HttpError(503);
    }
    throw;
}

/// Opened without waiting for anybody: a named pipe would.
Coro<io::File> open_to_read(std::filesystem::path path) {
    try {
        Coro<io::File> opening = io::File::open(std::move(path), O_RDONLY | O_NONBLOCK | O_NOCTTY);
        co_return co_await std::move(opening);
    } catch (const std::system_error& error) {
        throw_as_answer(error.code());
    }
}

/// The name of what is open, as the kernel has it: a link that led out shows here, whoever changed it when.
std::string real_name(const io::File& file) {
    std::array<char, 4096> name{};
    const std::string link = "/proc/self/fd/" + std::to_string(file.native_handle());
    const ssize_t size = readlink(link.c_str(), name.data(), name.size());
    return size < 0 ? std::string() : std::string(name.data(), static_cast<std::size_t>(size));
}

Validators validators_of(const io::FileStatus& status) {
    const auto since = status.modified.time_since_epoch();
    Validators file;
    file.modified = std::chrono::floor<std::chrono::seconds>(since).count();
    file.etag = "\"";
    detail::append_number(file.etag, status.inode, 16);
    file.etag.push_back('-');
    detail::append_number(file.etag, status.size, 16);
    file.etag.push_back('-');
    detail::append_number(file.etag, static_cast<std::uint64_t>(since.count()), 16);
    file.etag.push_back('"');
    return file;
}

std::string content_range(const detail::Range& range, std::uint64_t size) {
    return "bytes " + std::to_string(range.offset) + "-" + std::to_string(range.offset + range.count - 1) + "/" +
           std::to_string(size);
}

/// Several ranges of a file in one body, "multipart/byteranges" (RFC 9110, 14.6).
struct Multipart {
    io::File file;
    std::vector<std::string> heads;  ///< of the parts, each with the line that begins it
    std::vector<detail::Range> ranges;
    std::string end;
};

/// Small parts go out together: a write each would make a packet of every few bytes.
Coro<> write_parts(std::shared_ptr<Multipart> parts, BodyWriter& writer) {
    constexpr std::size_t kPiece = 64 << 10;
    std::string bytes;
    for (std::size_t i = 0; i < parts->ranges.size(); ++i) {
        bytes += parts->heads[i];
        std::uint64_t offset = parts->ranges[i].offset;
        for (std::uint64_t left = parts->ranges[i].count; left != 0;) {
            const std::size_t kept = bytes.size();
            bytes.resize(kept + static_cast<std::size_t>(std::min<std::uint64_t>(left, kPiece)));
            const std::size_t count = co_await parts->file.read_at(std::span(bytes).subspan(kept), offset);
            if (count == 0) {
                throw std::system_error(EIO, std::generic_category(), "the file has been cut while it was sent");
            }
            bytes.resize(kept + count);
            if (bytes.size() >= kPiece) {
                co_await writer.write(bytes);
                bytes.clear();
            }
            left -= count;
            offset += count;
        }
    }
    bytes += parts->end;
    co_await writer.write(bytes);
}

Response answer_with_parts(io::File file, std::vector<detail::Range> ranges, std::uint64_t size,
                           std::string_view type) {
    // No file has it, not even one of somebody who has seen others: it is of this answer alone.
    std::random_device random;
    const std::string boundary = "knit-" + std::to_string(random()) + "-" + std::to_string(random());
    const auto parts = std::make_shared<Multipart>();
    parts->file = std::move(file);
    parts->end = "\r\n--" + boundary + "--\r\n";
    std::uint64_t length = parts->end.size();
    for (const detail::Range& range : ranges) {
        parts->heads.push_back("\r\n--" + boundary + "\r\nContent-Type: " + std::string(type) +
                               "\r\nContent-Range: " + content_range(range, size) + "\r\n\r\n");
        length += parts->heads.back().size() + range.count;
    }
    parts->ranges = std::move(ranges);
    Response response =
        Response::stream([parts](BodyWriter& writer) { return write_parts(parts, writer); }, length);
    response.header("Content-Type", "multipart/byteranges; boundary=" + boundary);
    return response;
}

Response answer_with(const Request& request, io::File file, const io::FileStatus& status, std::string_view name,
                     const std::string& cache_control) {
    const Validators validators = validators_of(status);
    const int allowed = detail::check_conditions(request.headers(), request.method(), validators);
    if (allowed == 412) {
        return Response(412, HttpError(412).text());
    }
    std::vector<detail::Range> ranges =
        detail::check_ranges(request.headers(), request.method(), validators, status.size);
    const detail::Range range = ranges.front();
    if (allowed == 200 && range.status == 416) {
        return Response(416, HttpError(416).text()).header("Content-Range", "bytes */" + std::to_string(status.size));
    }
    const std::string_view type = mime_type_of(name);
    Response response = allowed == 304      ? Response(304)
                        : ranges.size() > 1 ? answer_with_parts(std::move(file), ranges, status.size, type)
                                            : Response::file(std::move(file), range.offset, range.count);
    if (allowed == 200) {
        response.status(range.status).header("Accept-Ranges", "bytes");
        if (ranges.size() == 1) {
            response.header("Content-Type", type);
        }
        if (ranges.size() == 1 && range.status == 206) {
            response.header("Content-Range", content_range(range, status.size));
        }
    }
    response.header("ETag", validators.etag).header("Last-Modified", detail::format_http_date(validators.modified));
    response.header("X-Content-Type-Options", "nosniff");
    if (!cache_control.empty()) {
        response.header("Cache-Control", cache_control);
    }
    return response;
}

void append_escaped(std::string& html, std::string_view text) {
    for (const char letter : text) {
        switch (letter) {
        case '&': html.append("&amp;"); break;
        case '<': html.append("&lt;"); break;
        case '>': html.append("&gt;"); break;
        case '"': html.append("&quot;"); break;
        default: html.push_back(letter);
        }
    }
}

Coro<std::vector<std::string>> names_in(std::filesystem::path folder) {
    try {
        Coro<std::vector<std::string>> listing = io::list_directory(std::move(folder));
        co_return co_await std::move(listing);
    } catch (const std::system_error& error) {
        throw_as_answer(error.code());
    }
}

Coro<Response> list_folder(std::filesystem::path folder, std::string title) {
    Coro<std::vector<std::string>> listing = names_in(std::move(folder));
    std::vector<std::string> names = co_await std::move(listing);
    std::ranges::sort(names);
    std::string html = "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>";
    append_escaped(html, title);
    html.append("</title></head>\n<body><h1>");
    append_escaped(html, title);
    html.append("</h1>\n<ul>\n<li><a href=\"../\">../</a></li>\n");
    for (const std::string& name : names) {
        html.append("<li><a href=\"./").append(detail::percent_encode(name, "-._~")).append("\">");
        append_escaped(html, name);
        html.append("</a></li>\n");
    }
    html.append("</ul></body></html>\n");
    co_return Response::html(std::move(html));
}

bool is_within(const std::string& name, const std::filesystem::path& root) {
    const std::string& folder = root.native();
    return name.starts_with(folder) && (name.size() == folder.size() || folder == "/" || name[folder.size()] == '/');
}

bool is_missing(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const HttpError& answer) {
        return answer.status() == 404;
    } catch (...) {
        return false;  // whoever asks throws it
    }
}

Coro<Response> answer_from(Request& request, const Folder& folder) {
    const std::string_view relative = request.path().substr(folder.prefix.size());
    if (!is_safe(relative)) {
        throw HttpError(404);
    }
    // Put together as text: an absolute path behind a path's operator/ would take its place.
    std::filesystem::path path = folder.root.native() + "/" + std::string(relative);
    Coro<io::File> opening = open_to_read(path);
    io::File file = co_await std::move(opening);
    Coro<io::FileStatus> asking = file.stat();
    io::FileStatus status = co_await std::move(asking);
    if (!folder.options.follows_links_outside && !is_within(real_name(file), folder.root)) {
        throw HttpError(404);
    }
    if (status.is_directory()) {
        if (!request.path().ends_with('/')) {
            std::string target = detail::percent_encode(request.path(), kPathKept) + "/";
            target.append(request.query_string().empty() ? "" : "?").append(request.query_string());
            // Two slashes at the front would name another host.
            target.erase(0, std::min(target.find_first_not_of('/'), target.size()) - 1);
            co_return Response(301).header("Location", target);
        }
        path /= "index.html";
        Result<io::File> index = co_await as_result(open_to_read(path));
        if (!index && folder.options.lists_folders && is_missing(index.error())) {
            Coro<Response> listing = list_folder(path.parent_path(), std::string(request.path()));
            co_return co_await std::move(listing);
        }
        file = std::move(index).value();
        Coro<io::FileStatus> asking_index = file.stat();
        status = co_await std::move(asking_index);
        if (!folder.options.follows_links_outside && !is_within(real_name(file), folder.root)) {
            throw HttpError(404);
        }
    } else if (request.path().ends_with('/')) {
        throw HttpError(404);
    }
    if (!status.is_regular()) {
        throw HttpError(404);
    }
    co_return answer_with(request, std::move(file), status, path.native(), folder.options.cache_control);
}

}  // namespace

Coro<Response> file_response(const Request& request, std::filesystem::path path, std::string cache_control) {
    Coro<io::File> opening = open_to_read(path);
    io::File file = co_await std::move(opening);
    Coro<io::FileStatus> asking = file.stat();
    const io::FileStatus status = co_await std::move(asking);
    if (!status.is_regular()) {
        throw HttpError(404);
    }
    co_return answer_with(request, std::move(file), status, path.native(), cache_control);
}

Router& Router::files(std::string_view prefix, const std::filesystem::path& root, StaticOptions options) {
    std::error_code error;
    std::filesystem::path real = std::filesystem::canonical(root, error);
    if (error || !std::filesystem::is_directory(real, error)) {
        throw ValueError("Router::files(): there is no folder " + root.string());
    }
    Folder folder;
    folder.prefix = std::string(prefix) + (prefix.ends_with('/') ? "" : "/");
    folder.root = std::move(real);
    folder.options = std::move(options);
    const std::string path = folder.prefix + "{path:.*}";
    auto handler = [folder = std::move(folder)](Request& request) { return answer_from(request, folder); };
    return get(path, std::move(handler));
}

}  // namespace knit::http
