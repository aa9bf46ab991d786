// EXPECT: coroutines cannot be used with add_signal_handler()
// EXPECT: create_task()
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

void watch(knit::Loop& loop) {
#ifdef KNIT_CONTROL
    loop.add_signal_handler(10, [] { knit::create_task(one()); });
#else
    loop.add_signal_handler(10, one);
#endif
}
