/// signal_wait() under io's name; it needs no descriptor and lives in core.
#pragma once

#include "knit/signal_wait.hpp"

namespace knit::io {
using knit::signal_wait;
}  // namespace knit::io
