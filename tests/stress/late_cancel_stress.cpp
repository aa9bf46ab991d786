// A cancellation that finds, on another loop, that what it is for has ended. For that the one loop has to stand while
// the other runs, and the test says which.

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include <knit/knit.hpp>

namespace {

/// Blocks the calling loop.
void stand_until(const std::atomic<bool>& flag) {
    while (!flag) {
        std::this_thread::yield();
    }
}

/// On loop 1.
template <class T>
knit::Coro<std::string> await_once(knit::Future<T> awaited, std::atomic<bool>& is_past) {
    const knit::Result<T> result = co_await knit::as_result(awaited);
    is_past = true;
    co_return result.has_value() ? "value" : "cancelled";
}

knit::Coro<> await_it(knit::Future<> future) { co_await future; }

/// `awaited` ends, on loop 0, when `go` is settled. How the cancellation of its awaiter reaches that.
template <class T>
knit::Coro<std::string> cancel_too_late(knit::Future<T> awaited, knit::Future<> go, bool is_taken_back) {
    std::atomic<bool> is_past{false};  // what is awaited has ended, and the awaiter has gone on
    std::atomic<bool> is_sent{false};  // the cancellation, to loop 0
    knit::Loop& other = knit::get_runtime().loop(1);
    knit::Task<std::string> awaiter = other.create_task(await_once(awaited, is_past));
    while (awaited.ref()->waiter_count() == 0) {
        co_await knit::yield();
    }
    other.call_soon_threadsafe([&] {
        awaiter.cancel();
        if (is_taken_back) {
            awaiter.uncancel();
        }
        is_sent = true;
    });
    stand_until(is_sent);
    // The cancellation is in the inbox now. The next turn takes it out, and runs it last.
    go.set_result();
    knit::get_running_loop().call_soon([&] { stand_until(is_past); });
    co_await knit::yield();
    co_await knit::yield();
    co_return co_await awaiter;
}

/// Of a task, and of a gather.
void expect_outcome(bool is_taken_back, const std::string& expected) {
    knit::RunOptions options;
    options.loops = 2;
    knit::run([&]() -> knit::Coro<> {
        const knit::Future<> go;
        const knit::Task<> task = knit::create_task(await_it(go));
        auto cancelling_task = cancel_too_late(knit::Future<>(task), go, is_taken_back);
        const std::string of_task = co_await std::move(cancelling_task);
        EXPECT_EQ(of_task, expected);
        const knit::Future<> source;
        const auto children = knit::gather(source);
        auto cancelling_gather = cancel_too_late(children.future(), source, is_taken_back);
        const std::string of_gather = co_await std::move(cancelling_gather);
        EXPECT_EQ(of_gather, expected);
    }, options);
}

TEST(LateCancel, ThatFindsTheEndComesOutOfTheAwaitThatItWasFor) { expect_outcome(false, "cancelled"); }

TEST(LateCancel, ThatIsTakenBackMeanwhileIsDropped) { expect_outcome(true, "value"); }

}  // namespace
