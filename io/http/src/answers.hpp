/// What answers of HTTP/1.1 and HTTP/2 have in common.
#pragma once

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

#include "knit/http/access_log.hpp"
#include "knit/http/detail/head.hpp"
#include "knit/http/response.hpp"
#include "knit/loop.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"

namespace knit::http::detail {

/// Whether an answer of this status has a body, and a length.
constexpr bool has_content(int status) noexcept { return status >= 200 && status != 204 && status != 304; }

/// To a request that no route has: 404, or 405 with the methods that are there.
Response missing_response(const std::string& allowed);

/// For a task that reads a request which is answered already.
[[noreturn]] void throw_answered();
/// What is reported of a handler, or of the function that makes a body, that leaves such a task behind.
std::exception_ptr reader_left_error();
/// Two tasks read one body.
[[noreturn]] void throw_second_reader();

/// To the loop's exception handler. `request`: "GET /path".
void report_handler_error(Loop& loop, const TaskRef& task, const std::exception_ptr& error, const std::string& request);

void log_request(const AccessLog& log, std::string_view peer, const Head& head, int status, std::uint64_t body_bytes,
                 Duration time);

}  // namespace knit::http::detail
