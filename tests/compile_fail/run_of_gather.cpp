// EXPECT: a coroutine was expected
// EXPECT: wrap it: knit::run([&]() -> knit::Coro<>
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

int main() {
#ifdef KNIT_CONTROL
    knit::run([&]() -> knit::Coro<> { co_await knit::gather(one(), one()); }());
#else
    knit::run(knit::gather(one(), one()));
#endif
}
