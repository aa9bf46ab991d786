// EXPECT: promise
#include <knit/knit.hpp>

knit::Coro<int> one() { co_return 1; }

#ifdef KNIT_CONTROL
knit::Coro<int> number() { co_return co_await one(); }
#else
int number() { return co_await one(); }
#endif
