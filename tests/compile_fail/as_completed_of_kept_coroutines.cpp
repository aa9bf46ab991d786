// EXPECT: as_completed() takes coroutines away from their container: write as_completed(std::move(coros))
#include <knit/knit.hpp>

knit::Coro<int> first(std::vector<knit::Coro<int>> coros) {
#ifdef KNIT_CONTROL
    auto results = knit::as_completed(std::move(coros));
#else
    auto results = knit::as_completed(coros);
#endif
    co_return co_await *results.next();
}
