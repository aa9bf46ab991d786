// EXPECT: as_completed() expects a collection of awaitables, not one
#include <knit/knit.hpp>

knit::Coro<int> first(knit::Task<int> task) {
#ifdef KNIT_CONTROL
    auto results = knit::as_completed(std::vector<knit::Task<int>>(1, task));
#else
    auto results = knit::as_completed(task);
#endif
    co_return co_await *results.next();
}
