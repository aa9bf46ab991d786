/// Lists of CPUs as text: "0-3,6".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace knit::detail {

/// Digits and nothing else, that fit.
bool parse_whole(std::string_view text, unsigned& value);

bool is_allowed(unsigned cpu, std::span<const unsigned> allowed);

/// "auto" (all that this process may use), or numbers and ranges with commas between them. False: it is no such list.
/// Whether each may be used is not looked at.
bool parse_cpu_list(std::string_view text, std::vector<unsigned>& cpus);

/// The shortest text that parse_cpu_list() takes.
std::string show_cpu_list(std::span<const unsigned> cpus);

}  // namespace knit::detail
