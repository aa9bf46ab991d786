#include "knit/to_string.hpp"

#include <algorithm>

#include "await_chain.hpp"
#include "knit/loop.hpp"
#include "report.hpp"
#include "runtime_core.hpp"
#include "stack.hpp"

namespace knit::detail {
namespace {

// How many links of a chain of awaits are shown.
constexpr int kLinksMax = 16;
// How much of a text result is shown, as reprlib does.
constexpr std::size_t kTextMax = 30;

std::string quote(std::string_view text) {
    const bool has_single = text.find('\'') != std::string_view::npos;
    const char mark = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
    std::string quoted(1, mark);
    for (const char letter : text) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        const auto code = static_cast<unsigned char>(letter);
        if (letter == '\n' || letter == '\t' || letter == '\r') {
            quoted += letter == '\n' ? "\\n" : letter == '\t' ? "\\t" : "\\r";
        } else if (code < 0x20 || code == 0x7f) {
            quoted += {'\\', 'x', kDigits[code >> 4U], kDigits[code & 15U]};
        } else {
            if (letter == mark || letter == '\\') {
                quoted += '\\';
            }
            quoted += letter;
        }
    }
    return quoted + mark;
}

std::string_view state_name(const FutureCore& core) {
    if (core.is_cancelled()) {
        return "cancelled";
    }
    if (core.is_done()) {
        return "finished";
    }
    const bool is_cancelling = core.is_task() && static_cast<const TaskCore&>(core).cancelling() > 0;
    return is_cancelling ? "cancelling" : "pending";
}

/// All but what it waits for and the closing bracket.
std::string head_text(const FutureCore& core, std::string_view result) {
    std::string text = core.is_task() ? "<Task " : "<Future ";
    text += state_name(core);
    if (core.is_task()) {
        const auto& task = static_cast<const TaskCore&>(core);
        text += " name=" + quote(task.name()) + " coro=<" + coroutine_name(task) + "()>";
    }
    if (core.state() == State::value) {
        text += " result=" + std::string(result);
    } else if (core.state() == State::error) {
        text += " exception=" + exception_text(core.slot().error);
    }
    return text;
}

/// The task, where the calling thread may look at what it waits for.
const TaskCore* readable_task(const FutureCore& core) {
    if (!core.is_task() || core.is_done()) {
        return nullptr;
    }
    const auto& task = static_cast<const TaskCore&>(core);
    Worker* const home = task.home();
    return home != nullptr && !home->loop().is_closed() && home->is_owned_here() ? &task : nullptr;
}

}  // namespace

std::string coroutine_name(const TaskCore& task) { return std::string(short_name(task.function().function_name())); }

std::string quoted_text(std::string_view text) {
    const std::string whole = quote(text.substr(0, kTextMax));
    if (whole.size() <= kTextMax) {
        return whole;
    }
    constexpr std::size_t kHead = (kTextMax - 3) / 2;
    constexpr std::size_t kTail = kTextMax - 3 - kHead;
    const std::size_t tail = std::min(kTail, text.size());
    const std::string both = quote(std::string(text.substr(0, kHead)) + std::string(text.substr(text.size() - tail)));
    return both.substr(0, kHead).append("...").append(both, both.size() - kTail);
}

std::string type_text(const std::type_info& type) {
    std::string text = "<";
    return text.append(type_name(type)).append(">");
}

std::string core_text(const FutureCore* core, bool is_task, std::string_view result) {
    if (core == nullptr) {
        return is_task ? "<Task empty>" : "<Future empty>";
    }
    std::string text = head_text(*core, result);
    std::string end = ">";
    const TaskCore* task = readable_task(*core);
    for (int link = 0; task != nullptr && link < kLinksMax; ++link) {
        const FutureCore* const awaited = awaited_by(*task);
        if (awaited == nullptr) {
            if (const Wait* const wait = wait_of(*task)) {
                text += " wait_for=<" + std::string(wait->name) + ">";
            }
            break;
        }
        text += " wait_for=" + head_text(*awaited, "...");
        end += ">";
        task = readable_task(*awaited);
    }
    return text + end;
}

}  // namespace knit::detail
