// EXPECT: Passing coroutines is forbidden, use tasks explicitly.
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

knit::Coro<> wait_for_all() {
#ifdef KNIT_CONTROL
    std::vector<knit::Task<int>> all;
    all.push_back(knit::create_task(one()));
    co_await knit::wait(all);
#else
    std::vector<knit::Coro<int>> all;
    all.push_back(one());
    co_await knit::wait(all);
#endif
}
