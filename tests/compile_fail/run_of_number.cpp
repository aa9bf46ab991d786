// EXPECT: a coroutine was expected
// EXPECT: wrap it: knit::run([&]() -> knit::Coro<>
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

int main() {
#ifdef KNIT_CONTROL
    return knit::run(one());
#else
    return knit::run(42);
#endif
}
