// EXPECT: a coroutine was expected
// EXPECT: wrap it: knit::run([&]() -> knit::Coro<>
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

void wait(knit::Runner& runner, knit::Task<int> task) {
#ifdef KNIT_CONTROL
    runner.run([&]() -> knit::Coro<> { co_await task; }());
#else
    runner.run(task);
#endif
}
