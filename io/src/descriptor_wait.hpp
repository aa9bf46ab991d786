/// Waiting for a descriptor to become free, when a call has failed for want of one.
#pragma once

#include "knit/future.hpp"
#include "knit/time.hpp"

namespace knit::detail {

/// A future of the calling loop that is settled when this process closes a descriptor of knit's, or `pause` has passed.
Future<> when_descriptor_may_be_free(Duration pause);

}  // namespace knit::detail
