// EXPECT: knit cannot await this
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

knit::Coro<int> number() {
#ifdef KNIT_CONTROL
    co_return co_await one();
#else
    co_return co_await 5;
#endif
}
