// EXPECT: coroutines cannot be used with call_
// EXPECT: create_task()
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

void schedule(knit::Loop& loop) {
#ifdef KNIT_CONTROL
    loop.call_at(loop.time(), [] { knit::create_task(one()); });
#else
    loop.call_at(loop.time(), one);
#endif
}
