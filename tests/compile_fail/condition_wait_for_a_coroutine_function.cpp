// EXPECT: a plain predicate, not a coroutine function
#include <knit/knit.hpp>

knit::Coro<bool> is_ready() { co_return true; }

knit::Coro<> wait(knit::Condition& condition) {
#ifdef KNIT_CONTROL
    co_await condition.wait_for([] { return true; });
#else
    co_await condition.wait_for(is_ready);
#endif
}
