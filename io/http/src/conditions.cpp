#include "conditions.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "text.hpp"

namespace knit::http::detail {
namespace {

/// Whether one of the tags of the list is the file's. Weak tags are equal for `is_weak` alone.
bool has_tag_in(std::string_view list, std::string_view etag, bool is_weak) noexcept {
    if (trim(list) == "*") {
        return true;
    }
    while (!list.empty()) {
        std::string_view tag = trim(cut(list, ','));
        if (tag.starts_with("W/")) {
            if (!is_weak) {
                continue;
            }
            tag.remove_prefix(2);
        }
        if (tag == etag) {
            return true;
        }
    }
    return false;
}

/// The same for a list that may stand in several lines.
bool has_tag(const Fields& fields, std::string_view name, std::string_view etag, bool is_weak) {
    const std::vector<std::string_view> lines = fields.get_all(name);
    return std::ranges::any_of(lines, [&](std::string_view line) { return has_tag_in(line, etag, is_weak); });
}

/// If-Range: the range counts only for the file as the client knows it.
bool is_same_file(std::string_view condition, const Validators& file) {
    if (condition.starts_with('"')) {
        return condition == file.etag;
    }
    const auto date = parse_http_date(condition);
    return date && *date == file.modified;
}

/// Digits; a number that is too large is beyond every end, as the largest is.
std::optional<std::uint64_t> to_position(std::string_view text) noexcept {
    const bool has_digits = !text.empty() && std::ranges::all_of(text, is_digit);
    return has_digits ? std::optional(to_number(text).value_or(std::numeric_limits<std::uint64_t>::max()))
                      : std::nullopt;
}

/// "0-9", "10-" or "-5"; none when it is malformed, status 416 when nothing of it is there.
std::optional<Range> read_range(std::string_view text, std::uint64_t size) {
    if (text.find('-') == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view first = trim(cut(text, '-'));
    const std::string_view last = trim(text);
    const auto from = to_position(first);
    const auto to = to_position(last);
    if ((!from && !first.empty()) || (!to && !last.empty()) || (!from && !to) || (from && to && *to < *from)) {
        return std::nullopt;
    }
    if (!from) {
        const std::uint64_t count = std::min(*to, size);
        return count == 0 ? Range{416, 0, 0} : Range{206, size - count, count};
    }
    if (*from >= size) {
        return Range{416, 0, 0};
    }
    const std::uint64_t end = to ? std::min(*to, size - 1) : size - 1;
    return Range{206, *from, end - *from + 1};
}

bool has_overlap(std::vector<Range> ranges) {
    std::ranges::sort(ranges, {}, &Range::offset);
    for (std::size_t i = 1; i < ranges.size(); ++i) {
        if (ranges[i].offset - ranges[i - 1].offset < ranges[i - 1].count) {
            return true;
        }
    }
    return false;
}

}  // namespace

int check_conditions(const Fields& fields, std::string_view method, const Validators& file) {
    const bool is_read = method == "GET" || method == "HEAD";
    if (fields.contains("If-Match")) {
        if (!has_tag(fields, "If-Match", file.etag, false)) {
            return 412;
        }
    } else if (const auto unmodified = fields.find("If-Unmodified-Since")) {
        const auto date = parse_http_date(*unmodified);
        if (date && file.modified > *date) {
            return 412;
        }
    }
    if (fields.contains("If-None-Match")) {
        if (has_tag(fields, "If-None-Match", file.etag, true)) {
            return is_read ? 304 : 412;
        }
    } else if (const auto since = fields.find("If-Modified-Since"); since && is_read) {
        const auto date = parse_http_date(*since);
        if (date && file.modified <= *date) {
            return 304;
        }
    }
    return 200;
}

std::vector<Range> check_ranges(const Fields& fields, std::string_view method, const Validators& file,
                                std::uint64_t size) {
    constexpr std::string_view kUnit = "bytes=";
    constexpr std::size_t kRangesMost = 16;
    const std::vector<Range> whole = {Range{200, 0, size}};
    std::string_view text = fields.get("Range");
    const auto condition = fields.find("If-Range");
    if (method != "GET" || !equals_ignoring_case(text.substr(0, kUnit.size()), kUnit) ||
        (condition && !is_same_file(*condition, file))) {
        return whole;
    }
    text.remove_prefix(kUnit.size());
    std::vector<Range> ranges;
    std::size_t count = 0;
    while (!text.empty()) {
        const std::string_view part = trim(cut(text, ','));
        if (part.empty()) {
            continue;  // a list may have empty elements
        }
        const std::optional<Range> range = read_range(part, size);
        if (!range || ++count > kRangesMost) {
            return whole;  // no valid range is as none
        }
        if (range->status == 206) {
            ranges.push_back(*range);
        }
    }
    if (count == 0) {
        return whole;
    }
    if (ranges.empty()) {
        return {Range{416, 0, 0}};
    }
    return has_overlap(ranges) ? whole : ranges;
}

}  // namespace knit::http::detail
