/// A thread of the explorer, and what it did.
#pragma once

#include <csetjmp>
#include <ucontext.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace knit::detail::model {

inline constexpr std::size_t kStepsShown = 60;

/// One access to memory, or a fence.
struct Step {
    std::size_t thread;
    const char* what;
    std::size_t location;
    std::uint64_t bits;
    std::uint32_t age;
};

/// A fiber, as far as the C++ runtime and the C library are concerned.
struct Fiber {
    std::function<void()> body;
    std::function<bool()> waits_for;
    ucontext_t start;
    std::jmp_buf context;
    std::array<char, 16> exceptions{};  ///< of __cxa_get_globals()
    bool has_started = false;
    bool has_ended = false;
    bool may_rest = false;
};

/// The last steps of an execution, a line each.
inline std::string text_of(const std::vector<Step>& steps) {
    std::string text;
    const std::size_t first = steps.size() > kStepsShown ? steps.size() - kStepsShown : 0;
    for (std::size_t index = first; index < steps.size(); ++index) {
        const Step& step = steps[index];
        text += "  thread " + std::to_string(step.thread) + ": " + step.what + " #" + std::to_string(step.location) +
                " " + std::to_string(step.bits) + (step.age != 0 ? " (old)" : "") + "\n";
    }
    return text;
}

}  // namespace knit::detail::model
