#include "answers.hpp"

#include "knit/http/error.hpp"

namespace knit::http::detail {

Response missing_response(const std::string& allowed) {
    if (allowed.empty()) {
        return Response(404, HttpError(404).text());
    }
    return Response(405, HttpError(405).text()).header("Allow", allowed);
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
