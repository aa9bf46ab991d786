// What gather() does with errors that its awaiter does not see.

#include "time_test.hpp"

namespace knit::test {
namespace {

/// Awaits a gather of both, and lets go of them.
Coro<std::string> gather_of(Task<int> first, Task<int> second) {
    co_return co_await got(gather(first, second));
}

CO_TEST(GatherError, OneThatComesBeforeTheFirstIsToldIsNotReported) {
    Trace log;
    on_error(log);
    log(co_await gather_of(create_task(fail_after(1ms, "a")), create_task(fail_after(1ms, "b"))));
    co_await tick(3);
    EXPECT_TRUE(log.shows({"!Err"}));
}

CO_TEST(GatherError, ThatOfASpawnedTaskAfterTheFirstIsNotReported) {
    Trace log;
    on_error(log);
    log(co_await gather_of(spawn(fail_after(1ms, "a")), spawn(fail_after(5ms, "b"))));
    co_await sleep(20ms);
    EXPECT_TRUE(log.shows({"!Err"}));
}

}  // namespace
}  // namespace knit::test
