#include "knit/io/detail/fd.hpp"

#include <unistd.h>

#include <cerrno>

#include "knit/detail/base.hpp"

namespace knit::detail {

constinit Atomic<void (*)() noexcept> g_descriptor_freed{nullptr};

void Fd::close() noexcept {
    if (number_ >= 0) {
        // Linux gives the number back whatever close() answers, so there is nothing to be tried again; EBADF alone
        // means that somebody closed what was ours.
        const int result = ::close(release());
        KNIT_ASSERT(result == 0 || errno != EBADF);
        if (auto* const tell = g_descriptor_freed.load(std::memory_order_relaxed)) [[unlikely]] {  // [fd.freed]
            tell();
        }
    }
}

}  // namespace knit::detail
