// EXPECT: wait() expects a list of futures, not a single one
#include <knit/knit.hpp>

knit::Coro<> wait_for_one(knit::Task<int> task) {
#ifdef KNIT_CONTROL
    auto one = knit::wait({task});
    co_await std::move(one);
#else
    co_await knit::wait(task);
#endif
}
