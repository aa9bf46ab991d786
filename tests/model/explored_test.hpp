/// What the explored models share.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "explorer.hpp"

namespace knit::detail::model {

/// EXPECT_TRUE(holds(bounds, scenario)): right in all interleavings.
inline ::testing::AssertionResult holds(const Bounds& bounds, const std::function<void(Run&)>& scenario) {
    const Result result = explore(bounds, scenario);
    if (!result.is_right) {
        return ::testing::AssertionFailure() << result.text;
    }
    std::printf("%llu interleavings\n", static_cast<unsigned long long>(result.runs));
    ::testing::Test::RecordProperty("interleavings", std::to_string(result.runs));
    return ::testing::AssertionSuccess() << result.runs << " interleavings";
}

}  // namespace knit::detail::model
