#include "text.hpp"

#include <time.h>

#include <algorithm>

namespace knit::http::detail {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

int month_of(std::string_view name) noexcept {
    for (std::size_t month = 0; month < kMonths.size(); ++month) {
        if (kMonths[month] == name) {
            return static_cast<int>(month);
        }
    }
    return -1;
}

/// Reads "08:49:37" into `parts`.
bool read_clock(std::string_view text, tm& parts) noexcept {
    if (text.size() != 8 || text[2] != ':' || text[5] != ':') {
        return false;
    }
    const auto hour = to_number(text.substr(0, 2));
    const auto minute = to_number(text.substr(3, 2));
    const auto second = to_number(text.substr(6, 2));
    if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 60) {
        return false;
    }
    parts.tm_hour = static_cast<int>(*hour);
    parts.tm_min = static_cast<int>(*minute);
    parts.tm_sec = static_cast<int>(*second);
    return true;
}

bool read_day(std::string_view day, std::string_view month, std::string_view year, tm& parts) noexcept {
    const auto day_number = to_number(trim(day));
    const auto year_number = to_number(year);
    parts.tm_mon = month_of(month);
    if (!day_number || !year_number || *day_number < 1 || *day_number > 31 || *year_number > 9999 || parts.tm_mon < 0) {
        return false;
    }
    parts.tm_mday = static_cast<int>(*day_number);
    const int full = static_cast<int>(*year_number);
    // The obsolete form has two digits.
    const int century = year.size() > 2 ? 0 : full < 70 ? 2000 : 1900;
    parts.tm_year = full + century - 1900;
    return true;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank) {
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
            const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
            if (low < 0) {
                return std::nullopt;
            }
            result.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            result.push_back(plus_is_blank && text[i] == '+' ? ' ' : text[i]);
        }
    }
    return result;
}

std::string percent_encode(std::string_view text, std::string_view kept) {
    static constexpr char kDigits[] = "0123456789ABCDEF";
    static constexpr CharSet kPlain("");
    std::string result;
    for (const char letter : text) {
        if (kPlain.has(letter) || kept.find(letter) != std::string_view::npos) {
            result.push_back(letter);
        } else {
            const auto code = static_cast<unsigned char>(letter);
            result.append({'%', kDigits[code >> 4], kDigits[code & 15]});
        }
    }
    return result;
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
    tm parts{};
    bool is_good = false;
    if (const std::size_t comma = text.find(','); comma != std::string_view::npos) {
        std::string_view rest = trim(text.substr(comma + 1));
        const bool has_dashes = rest.find('-') != std::string_view::npos;
        const char separator = has_dashes ? '-' : ' ';
        const std::string_view day = cut(rest, separator);
        const std::string_view month = cut(rest, separator);
        const std::string_view year = cut(rest, ' ');
        const std::string_view clock = cut(rest, ' ');
        is_good = rest == "GMT" && read_day(day, month, year, parts) && read_clock(clock, parts);
    } else if (text.size() == 24) {  // asctime(): "Sun Nov  6 08:49:37 1994"
        is_good = read_day(text.substr(8, 2), text.substr(4, 3), text.substr(20), parts) &&
                  read_clock(text.substr(11, 8), parts);
    }
    return is_good ? std::optional<std::int64_t>(timegm(&parts)) : std::nullopt;
}

HttpDate write_http_date(std::int64_t seconds) noexcept {
    const time_t time = seconds;
    tm parts{};
    gmtime_r(&time, &parts);
    HttpDate text;
    char* at = text.data();
    const auto put = [&at](std::string_view piece) { at = std::copy(piece.begin(), piece.end(), at); };
    const auto put_number = [&at](int number) {
        *at++ = static_cast<char>('0' + number / 10 % 10);
        *at++ = static_cast<char>('0' + number % 10);
    };
    put(kDays[static_cast<std::size_t>(parts.tm_wday)]);
    put(", ");
    put_number(parts.tm_mday);
    put(" ");
    put(kMonths[static_cast<std::size_t>(parts.tm_mon)]);
    put(" ");
    const int year = parts.tm_year + 1900;
    put_number(year / 100);
    put_number(year % 100);
    put(" ");
    put_number(parts.tm_hour);
    put(":");
    put_number(parts.tm_min);
    put(":");
    put_number(parts.tm_sec);
    put(" GMT");
    return text;
}

std::string format_http_date(std::int64_t seconds) {
    const HttpDate date = write_http_date(seconds);
    return {date.data(), date.size()};
}

}  // namespace knit::http::detail
