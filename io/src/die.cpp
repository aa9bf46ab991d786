#include "die.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "knit/detail/base.hpp"
#include "knit/log.hpp"

namespace knit::detail {

void die(const char* operation, int error) noexcept {
    die_if_fork_child();
    std::array<char, 512> text{};
    std::snprintf(text.data(), text.size(), "knit: fatal: %s: %s", operation, std::strerror(error));
    log(LogLevel::error, text.data());
    std::abort();
}

}  // namespace knit::detail
