// EXPECT: coroutines cannot be used with call_soon()
// EXPECT: create_task()
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

void schedule(knit::Loop& loop) {
#ifdef KNIT_CONTROL
    loop.create_task(one());
#else
    loop.call_soon(one());
#endif
}
