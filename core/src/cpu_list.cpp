#include "cpu_list.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "platform.hpp"

namespace knit::detail {

bool parse_whole(std::string_view text, unsigned& value) {
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, value);
    return error == std::errc() && rest == end;
}

bool is_allowed(unsigned cpu, std::span<const unsigned> allowed) {
    return std::find(allowed.begin(), allowed.end(), cpu) != allowed.end();
}

namespace {

/// "4" or "0-3", to the end of `cpus`. A range ends at its first CPU that is not allowed, so a huge one costs nothing;
/// that CPU is kept, for is_acceptable to find.
bool parse_cpu_range(std::string_view text, std::span<const unsigned> allowed, std::vector<unsigned>& cpus) {
    const std::size_t dash = text.find('-');
    unsigned first = 0;
    if (!parse_whole(text.substr(0, dash), first)) {
        return false;
    }
    unsigned last = first;
    if (dash != std::string_view::npos && (!parse_whole(text.substr(dash + 1), last) || last < first)) {
        return false;
    }
    cpus.push_back(first);
    for (unsigned cpu = first; cpu != last && is_allowed(cpu, allowed);) {
        cpus.push_back(++cpu);
    }
    return true;
}

}  // namespace

bool parse_cpu_list(std::string_view text, std::vector<unsigned>& cpus) {
    const std::vector<unsigned> allowed = allowed_cpus();
    cpus.clear();
    if (text == "auto") {
        cpus = allowed;
        return true;
    }
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t comma = std::min(text.find(',', start), text.size());
        if (!parse_cpu_range(text.substr(start, comma - start), allowed, cpus)) {
            return false;
        }
        start = comma + 1;
    }
    return true;
}

std::string show_cpu_list(std::span<const unsigned> cpus) {
    std::string text;
    for (std::size_t i = 0; i < cpus.size();) {
        std::size_t last = i;
        while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) {
            ++last;
        }
        // Piece by piece: GCC 12 at -O3 warns of an overlap in "..." + std::string that is none (bug 105651).
        text.append(text.empty() ? "" : ",").append(std::to_string(cpus[i]));
        if (last != i) {
            text.append("-").append(std::to_string(cpus[last]));
        }
        i = last + 1;
    }
    return text;
}

}  // namespace knit::detail
