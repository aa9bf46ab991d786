/// die(): the end of a process whose kernel, or whose knit, broke a promise.
#pragma once

namespace knit::detail {

/// The kernel broke its side or we ours: says which and ends the process.
[[noreturn]] void die(const char* operation, int error) noexcept;

}  // namespace knit::detail
