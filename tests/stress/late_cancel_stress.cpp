// A cancellation that finds, on another loop, that what it is for has ended, and comes back to the task that waited for
// it: which has gone on meanwhile. For that the one loop has to stand while the other runs, and each test says which.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <knit/knit.hpp>

namespace {

using namespace std::chrono_literals;

/// Blocks the calling loop.
void stand_until(const std::atomic<bool>& flag) {
    while (!flag) {
        std::this_thread::yield();
    }
}

/// What the awaiter does after its first await, which has given a value although the awaiter was cancelled.
enum class Then { wait, move, take_it_back };

struct Meeting {
    Then then = Then::wait;
    std::atomic<bool> is_sent{false};  ///< the cancellation, to loop 0
    std::atomic<bool> is_past{false};  ///< what it is for has ended, and the awaiter has gone on
    std::atomic<bool> is_late{false};  ///< the cancellation is on its way back
    knit::Future<> end;                ///< of the awaiter's second await
};

/// On loop 1.
template <class T>
knit::Coro<std::string> await_twice(knit::Future<T> awaited, Meeting& meeting) {
    const knit::Result<T> first = co_await knit::as_result(awaited);
    if (!first.has_value()) {
        co_return "at the first await";
    }
    switch (meeting.then) {
        case Then::wait: break;
        case Then::take_it_back: knit::current_task()->uncancel(); break;
        case Then::move: {
            meeting.is_past = true;
            stand_until(meeting.is_late);
            const knit::Result<> moved = co_await knit::as_result(knit::resume_on(knit::get_runtime().loop(2)));
            if (!moved.has_value()) {
                co_return "on the way";
            }
            break;
        }
    }
    meeting.is_past = true;
    const knit::Result<> second = co_await knit::as_result(meeting.end);
    co_return second.has_value() ? "never" : "at the second await";
}

knit::Coro<> await_it(knit::Future<> future) { co_await future; }

/// `awaited` ends, on loop 0, when `go` is settled. How the cancellation of its awaiter reaches that.
template <class T>
knit::Coro<std::string> cancel_too_late(knit::Future<T> awaited, knit::Future<> go, Then then) {
    Meeting meeting;
    meeting.then = then;
    knit::Loop& other = knit::get_runtime().loop(1);
    knit::Task<std::string> awaiter = other.create_task(await_twice(awaited, meeting));
    while (awaited.ref()->waiter_count() == 0) {
        co_await knit::yield();
    }
    other.call_soon_threadsafe([&] {
        awaiter.cancel();
        meeting.is_sent = true;
    });
    stand_until(meeting.is_sent);
    // The cancellation is in the inbox now. The next turn takes it out, and runs it last.
    go.set_result();
    knit::get_running_loop().call_soon([&] { stand_until(meeting.is_past); });
    co_await knit::yield();
    co_await knit::yield();
    meeting.is_late = true;
    if (then == Then::take_it_back) {
        const knit::Task<> behind = other.create_task(await_it(go));  // behind what has come back
        co_await behind;
        if (!meeting.end.done()) {
            meeting.end.set_result();
        }
    }
    const std::vector<knit::Task<std::string>> all(1, awaiter);
    const knit::WaitOptions limit{.timeout = 20s};
    co_await knit::wait(all, limit);
    const bool is_lost = !awaiter.done() && awaiter.cancel();
    const knit::Result<std::string> outcome = co_await knit::as_result(awaiter);
    co_return is_lost || !outcome.has_value() ? "lost" : outcome.value();
}

/// Of a task, and of a gather.
void expect_outcome(Then then, const std::string& expected) {
    knit::RunOptions options;
    options.loops = 3;
    knit::run([&]() -> knit::Coro<> {
        const knit::Future<> go;
        const knit::Task<> task = knit::create_task(await_it(go));
        auto cancelling_task = cancel_too_late(knit::Future<>(task), go, then);
        const std::string of_task = co_await std::move(cancelling_task);
        EXPECT_EQ(of_task, expected);
        const knit::Future<> source;
        const auto children = knit::gather(source);
        auto cancelling_gather = cancel_too_late(children.future(), source, then);
        const std::string of_gather = co_await std::move(cancelling_gather);
        EXPECT_EQ(of_gather, expected);
    }, options);
}

TEST(LateCancel, ThatComesBackToATaskThatWaitsAgainEndsThatWait) {
    expect_outcome(Then::wait, "at the second await");
}

TEST(LateCancel, ThatComesBackToATaskThatHasMovedFollowsIt) { expect_outcome(Then::move, "at the second await"); }

TEST(LateCancel, ThatComesBackToATaskThatHasTakenItBackIsDropped) { expect_outcome(Then::take_it_back, "never"); }

}  // namespace
