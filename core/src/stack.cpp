/// Where the coroutines of a task stand, and what their functions are called.

#include "stack.hpp"

#include <string>

#include "await_chain.hpp"
#include "knit/coro.hpp"
#include "knit/detail/worker.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"

namespace knit::detail {
namespace {

/// The position of the bracket that the one at `close` closes; npos when there is none.
std::size_t opening_bracket(std::string_view text, std::size_t close) noexcept {
    int depth = 0;
    for (std::size_t at = close + 1; at-- > 0;) {
        depth += text[at] == ')' ? 1 : text[at] == '(' ? -1 : 0;
        if (depth == 0) {
            return at;
        }
    }
    return std::string_view::npos;
}

/// Where the name begins in "type name": after the last space that is in no bracket.
std::size_t name_start(std::string_view text) noexcept {
    int depth = 0;
    for (std::size_t at = text.size(); at-- > 0;) {
        const char letter = text[at];
        depth += letter == '>' || letter == ')' ? 1 : letter == '<' || letter == '(' ? -1 : 0;
        if (letter == ' ' && depth == 0) {
            return at + 1;
        }
    }
    return 0;
}

Frame frame_of(const std::source_location& function, const std::source_location& where) noexcept {
    return {function.function_name(), where.file_name(), where.line()};
}

}  // namespace

std::string_view short_name(std::string_view function) noexcept {
    if (function.ends_with(']')) {  // " [with T = int]", " [T = int]"
        function = function.substr(0, function.find(" ["));
    }
    if (const std::size_t close = function.rfind(')'); close != std::string_view::npos && !function.ends_with('>')) {
        if (const std::size_t open = opening_bracket(function, close); open != std::string_view::npos && open > 0) {
            function = function.substr(0, open);
        }
    }
    return function.substr(name_start(function));
}

std::vector<Frame> TaskCore::stack() const {
    std::vector<Frame> frames;
    if (is_done()) {
        return frames;
    }
    const Worker* const worker = home();
    if (worker == nullptr || worker != Worker::current()) {
        frames.push_back(frame_of(function_, function_));
        return frames;
    }
    return frames_from(leaf_);
}

std::vector<Frame> frames_from(std::coroutine_handle<> leaf) {
    std::vector<Frame> frames;
    for (std::coroutine_handle<> handle = leaf; handle;) {
        const PromiseBase& promise = PromiseBase::of(handle);
        frames.push_back(frame_of(promise.function(), promise.where()));
        handle = promise.continuation();
    }
    return frames;
}

std::string place_text(const std::source_location& place) {
    return std::string(place.file_name()) + ":" + std::to_string(place.line());
}

void warn_never_awaited(const PromiseBase& promise) noexcept {
    Worker* const worker = Worker::current();
    if (worker == nullptr || !worker->loop().get_debug()) {
        return;
    }
    const std::source_location& function = promise.function();
    log(LogLevel::warning, "coroutine '" + std::string(short_name(function.function_name())) +
                               "' was never awaited\nCoroutine created at (most recent call last)\n  " +
                               place_text(function) + ", in " + function.function_name());
}

}  // namespace knit::detail
