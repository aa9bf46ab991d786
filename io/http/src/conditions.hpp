/// What a request asks of a file: conditions (RFC 9110, 13) and a range (14).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "knit/http/fields.hpp"

namespace knit::http::detail {

/// What a file is known by.
struct Validators {
    std::string etag;          ///< with its quotes
    std::int64_t modified = 0;  ///< seconds since 1970
};

/// 200: to be answered as it is; 304 or 412.
int check_conditions(const Fields& fields, std::string_view method, const Validators& file);

/// The part that is to be sent: 200 with all of it, 206, or 416.
struct Range {
    int status = 200;
    std::uint64_t offset = 0;
    std::uint64_t count = 0;
};

/// The parts that are asked for: one with status 200 or 416, or one or more with 206. More than a few, or such that
/// overlap, are what nobody needs (14.2): then the whole.
std::vector<Range> check_ranges(const Fields& fields, std::string_view method, const Validators& file,
                                std::uint64_t size);

}  // namespace knit::http::detail
