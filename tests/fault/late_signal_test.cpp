// A signal handler that has been interrupted between finding the loop that it tells of the signal, and telling it. The
// linker puts what follows in front of Worker::post().

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

#include "io_test.hpp"
#include "knit/detail/worker.hpp"

namespace {

thread_local bool t_is_interrupted = false;  // in front of its post()
std::atomic<bool> g_is_there{false};
std::atomic<bool> g_goes_on{false};
std::atomic<int> g_default_count{0};

}  // namespace

extern "C" bool __real__ZN4knit6detail6Worker4postERNS0_4WorkE(knit::detail::Worker* worker, knit::detail::Work* work);

extern "C" bool __wrap__ZN4knit6detail6Worker4postERNS0_4WorkE(knit::detail::Worker* worker, knit::detail::Work* work) {
    if (t_is_interrupted) {
        g_is_there = true;
        while (!g_goes_on) {
            std::this_thread::yield();
        }
    }
    return __real__ZN4knit6detail6Worker4postERNS0_4WorkE(worker, work);
}

namespace knit::test {
namespace {

Coro<> handle_signal_with(std::atomic<int>& calls) {
    get_running_loop().add_signal_handler(SIGUSR1, [&calls] { ++calls; });
    co_return;
}

/// Raises the signal on a thread of its own, whose handler comes to post() while the runtime is there, and goes on when
/// that has ended.
void interrupt_a_handler(std::optional<Runtime>& runtime) {
    g_is_there = g_goes_on = false;
    std::thread raiser([] {
        t_is_interrupted = true;
        std::raise(SIGUSR1);
    });
    while (!g_is_there) {
        std::this_thread::yield();
    }
    runtime.reset();
    g_goes_on = true;
    raiser.join();
}

TEST(LateSignal, ThatIsPostedToAClosedLoopDoesNotKeepTheNextOnesFromTheNextLoop) {
    g_default_count = 0;
    const auto before = std::signal(SIGUSR1, [](int) { ++g_default_count; });
    std::atomic<int> calls{0};
    RunOptions options;
    options.loops = 1;
    std::optional<Runtime> runtime(std::in_place, options);
    runtime->run_until_complete(handle_signal_with(calls));
    interrupt_a_handler(runtime);
    EXPECT_EQ(1, g_default_count);  // its loop had ended
    runtime.emplace(options);
    runtime->run_until_complete([&]() -> Coro<> {
        Coro<> handling = handle_signal_with(calls);
        co_await std::move(handling);
        std::raise(SIGUSR1);
        co_await turns();
    });
    runtime.reset();
    EXPECT_EQ(1, calls);
    EXPECT_EQ(1, g_default_count);
    std::signal(SIGUSR1, before);
}

}  // namespace
}  // namespace knit::test
