#include "knit/to_thread.hpp"

#include "knit/detail/worker.hpp"
#include "runtime_core.hpp"

namespace knit::detail {

void submit_blocking(std::function<void()> job) {
    running_worker().runtime().blocking_pool().submit(std::move(job));
}

}  // namespace knit::detail
