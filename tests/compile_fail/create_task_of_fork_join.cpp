// EXPECT: awaited on the spot and cannot be kept
// EXPECT: write create_task(
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

knit::Coro<> both() {
#ifdef KNIT_CONTROL
    co_await knit::create_task([]() -> knit::Coro<> { co_await knit::fork_join(one(), one()); });
#else
    co_await knit::create_task(knit::fork_join(one(), one()));
#endif
}
