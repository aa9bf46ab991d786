#include "knit/io/detail/fd.hpp"

#include <unistd.h>

#include <cerrno>

#include "knit/detail/base.hpp"

namespace knit::detail {

void Fd::close() noexcept {
    if (number_ >= 0) {
        // Linux gives the number back whatever close() answers, so there is nothing to be tried again; EBADF alone
        // means that somebody closed what was ours.
        const int result = ::close(release());
        KNIT_ASSERT(result == 0 || errno != EBADF);
    }
}

}  // namespace knit::detail
