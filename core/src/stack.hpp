/// What functions and places are called in reports.
#pragma once

#include <coroutine>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "knit/detail/task_core.hpp"

namespace knit::detail {

/// "app::work" of "knit::Coro<int> app::work(int) [with T = int]"; of a lambda what the compiler calls it.
std::string_view short_name(std::string_view function) noexcept;
/// The coroutines from `leaf` outwards, each at its last await. Where nobody runs them.
std::vector<Frame> frames_from(std::coroutine_handle<> leaf);
/// "file.cpp:12"
std::string place_text(const std::source_location& place);

}  // namespace knit::detail
