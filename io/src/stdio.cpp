#include "knit/io/stdio.hpp"

#include "knit/io/pipe.hpp"

namespace knit::io {

StreamReader stdin_stream(StreamOptions options) { return make_reader(standard_input(), options); }
StreamWriter stdout_stream() { return make_writer(standard_output()); }
StreamWriter stderr_stream() { return make_writer(standard_error()); }

}  // namespace knit::io
