/// asyncio's debug mode: each step of a loop is timed, and a slow one is told of by name.

#include <cstdio>
#include <typeinfo>

#include "knit/detail/callback.hpp"
#include "knit/detail/core_ref.hpp"
#include "knit/detail/fork.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/to_string.hpp"
#include "report.hpp"

namespace knit::detail {
namespace {

/// "main()::{lambda()#1}" of the type that keeps it for call_soon(): the first argument of make_callback<>.
std::string callable_name(const std::type_info& type) {
    std::string name = type_name(type);
    constexpr std::string_view kMaker = "make_callback<";
    const std::size_t begin = name.find(kMaker);
    if (begin == std::string::npos) {
        return name;
    }
    int depth = 0;
    std::size_t end = begin + kMaker.size();
    for (; end < name.size() && (depth > 0 || (name[end] != ',' && name[end] != '>')); ++end) {
        const char letter = name[end];
        depth += letter == '<' || letter == '(' || letter == '{' ? 1 : 0;
        depth -= letter == '>' || letter == ')' || letter == '}' ? 1 : 0;
    }
    return name.substr(begin + kMaker.size(), end - begin - kMaker.size());
}

void warn_slow(const std::string& what, Duration took) {
    char seconds[64];
    std::snprintf(seconds, sizeof seconds, "%.3f", std::chrono::duration<double>(took).count());
    log(LogLevel::warning, "Executing " + what + " took " + seconds + " seconds");
}

}  // namespace

void Worker::run_watched(Work& work) noexcept {
    const bool is_offered = TaskCore::is_task_work(work) && TaskCore::of(work).home() == nullptr;
    CoreRef task;
    const std::type_info* callable = nullptr;
    if (TaskCore::is_task_work(work)) {
        TaskCore& core = TaskCore::of(work);
        core.add_ref();
        task = CoreRef(&core);
    } else if (const Callback* const callback = Callback::of(work)) {
        callable = &typeid(*callback);
    }
    const TimePoint start = now();
    if (is_offered) {
        run_offered_now(work);
    } else {
        work.run(*this, work);
    }
    const Duration took = now() - start;
    if (took < loop_.slow_callback_duration) {
        return;
    }
    try {
        if (task) {
            warn_slow(core_text(task.get(), true, "..."), took);
        } else {
            const std::string name = callable != nullptr ? callable_name(*callable) : "of knit's own";
            warn_slow("<Handle " + name + ">", took);
        }
    } catch (const std::bad_alloc&) {
        log(LogLevel::warning, "a step was slow; no memory to say which");
    }
}

}  // namespace knit::detail
