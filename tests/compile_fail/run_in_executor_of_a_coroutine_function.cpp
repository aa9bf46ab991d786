// EXPECT: coroutines cannot be used with run_in_executor()
// EXPECT: create_task()
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

void schedule(knit::Loop& loop) {
#ifdef KNIT_CONTROL
    loop.run_in_executor(nullptr, [] { return 1; });
#else
    loop.run_in_executor(nullptr, one);
#endif
}
