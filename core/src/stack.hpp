/// What functions and places are called in reports.
#pragma once

#include <source_location>
#include <string>
#include <string_view>

namespace knit::detail {

/// "app::work" of "knit::Coro<int> app::work(int) [with T = int]"; of a lambda what the compiler calls it.
std::string_view short_name(std::string_view function) noexcept;
/// "file.cpp:12"
std::string place_text(const std::source_location& place);

}  // namespace knit::detail
