/// Where a test's seeds come from besides its own code.
#pragma once

namespace knit::testing::detail {

/// KNIT_TEST_SEED, or null.
const char* seed_text() noexcept;

}  // namespace knit::testing::detail
