// with_timeout(): what it takes; times at the limits.

#include "time_test.hpp"

#include <limits>
#include <memory>
#include <tuple>

namespace knit::test {
namespace {

CO_TEST(WithTimeout, AwaitsWhatItIsGivenWhateverThatIs) {
    const Task<int> task = create_task(after(1ms, 1));
    Future<int> future;
    get_running_loop().call_later(1ms, [future]() mutable { future.set_result(2); });
    EXPECT_EQ(co_await with_timeout(1s, task), 1);
    EXPECT_EQ(co_await with_timeout(1s, future), 2);
    EXPECT_EQ(co_await with_timeout(1s, sleep(1ms, 3)), 3);
    auto both = gather(after(1ms, 4), after(2ms, 5));
    EXPECT_EQ(co_await with_timeout(1s, both), std::make_tuple(4, 5));
    EXPECT_EQ(co_await with_timeout(1s, gather(after(1ms, 4), after(2ms, 5))), std::make_tuple(4, 5));
    EXPECT_EQ(*co_await with_timeout(1s, after(1ms, std::make_unique<int>(6))), 6);
    EXPECT_EQ(co_await create_task(with_timeout(1s, after(1ms, 7))), 7);
}

CO_TEST(WithTimeout, CancelsTheTaskThatItAwaits) {
    Trace log;
    Task<> inner = create_task(slow_sleeper(log, 10ms));
    log(co_await outcome(with_timeout(5ms, inner)), inner.cancelled());
    auto children = gather(sleeper(log, "a"), sleeper(log, "b"));
    log(co_await outcome(with_timeout(5ms, std::move(children))));
    EXPECT_TRUE(log.shows({"cleanup", "cleanup over", "!TimeoutError", "true", "a", "b", "!TimeoutError"}));
}

TEST(WithTimeout, OfNaNIsAValueError) {
    const auto delay = std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN());
    EXPECT_EQ(call([&] { static_cast<void>(with_timeout(delay, tick())); }), "!ValueError");
}

CO_TEST(WithTimeout, OfTheLongestDurationIsForEver) {
    co_await with_timeout(std::chrono::hours::max(), sleep(1h));
    co_await timeout_scope_at(TimePoint::max(), [](Timeout&) -> Coro<> { co_await sleep(1h); });
    EXPECT_EQ(timers(), 0U);
}

}  // namespace
}  // namespace knit::test
