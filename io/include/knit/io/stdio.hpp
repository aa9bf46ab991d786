/// Standard input, output and error output as asyncio's streams. (`stdin` is a macro in C.)
#pragma once

#include "knit/io/streams.hpp"

namespace knit::io {

/// On the calling loop: readline(), read(n) ... Reading begins at once and goes ahead, up to twice the limit, so one
/// reader for a program. See standard_input() for what is beneath; closing leaves 0, 1 and 2 open. Throws
/// std::system_error with EBADF when the program was started without it, RuntimeError without a loop.
StreamReader stdin_stream(StreamOptions options = {});
/// What was written is sent in the background: await drain(), or close() and wait_closed(), before the program ends.
StreamWriter stdout_stream();
StreamWriter stderr_stream();

}  // namespace knit::io

namespace knit {
using io::stderr_stream;
using io::stdin_stream;
using io::stdout_stream;
}  // namespace knit
