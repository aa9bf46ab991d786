/// Files of a folder as answers.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "knit/coro.hpp"
#include "knit/http/request.hpp"
#include "knit/http/response.hpp"

namespace knit::http {

struct StaticOptions {
    bool lists_folders = false;        ///< a folder without index.html is answered with its list
    bool follows_links_outside = false;  ///< symbolic links may lead out of the folder
    std::string cache_control = {};    ///< of every file; empty: none is said
};

/// The type of a file by the end of its name; "application/octet-stream" when that says nothing.
std::string_view mime_type_of(std::string_view name) noexcept;

/// Answers with the file `path`, as far as the request's conditions and range let it: 200, 206, 304, 412, 416; 404 when
/// it is no file that can be read. Cancelled: CancelledError.
Coro<Response> file_response(const Request& request, std::filesystem::path path, std::string cache_control = {});

}  // namespace knit::http
