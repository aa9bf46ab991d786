#include "answers.hpp"

#include <cerrno>
#include <system_error>

#include "knit/error.hpp"
#include "knit/http/error.hpp"

namespace knit::http::detail {

Response missing_response(const std::string& allowed) {
    if (allowed.empty()) {
        return Response(404, HttpError(404).text());
    }
    return Response(405, HttpError(405).text()).header("Allow", allowed);
}

void throw_answered() {
    throw std::system_error(ECANCELED, std::generic_category(), "the request is answered: nobody reads it any more");
}

std::exception_ptr reader_left_error() {
    return std::make_exception_ptr(
        RuntimeError("a handler, or the function that makes its answer's body, has ended while a read of the request's "
                     "body is under way: await each task that reads"));
}

void throw_second_reader() {
    throw RuntimeError("two tasks read one body at the same time: let one task read, and await each read_some() before "
                       "the next");
}

void report_handler_error(Loop& loop, const TaskRef& task, const std::exception_ptr& error,
                          const std::string& request) {
    ExceptionContext context;
    context.message = "Unhandled exception in the handler of " + request;
    context.exception = error;
    context.task = task;
    context.loop = &loop;
    loop.call_exception_handler(context);
}

void log_request(const AccessLog& log, std::string_view peer, const Head& head, int status, std::uint64_t body_bytes,
                 Duration time) {
    AccessRecord record;
    record.peer = peer;
    record.method = head.method;
    record.target = head.target;
    record.referer = head.fields.get("referer");
    record.user_agent = head.fields.get("user-agent");
    record.status = status;
    record.version_major = head.is_http2 ? 2 : 1;
    record.version_minor = head.is_http10 || head.is_http2 ? 0 : 1;
    record.body_bytes = body_bytes;
    record.time = time;
    log.add(record);
}

}  // namespace knit::http::detail
