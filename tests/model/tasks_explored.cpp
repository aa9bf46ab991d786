// Tasks on whole loops under the explorer (loops.hpp): cancelled while they are taken, forked, settled from two sides.

#include "loops.hpp"

namespace knit::detail {
namespace {

Coro<> sleep_till_cancelled(bool& is_over) {
    try {
        co_await sleep(std::chrono::hours(1));
    } catch (const CancelledError&) {
        is_over = true;
        throw;
    }
}

TEST_P(Explored, ATaskThatNobodyHasBegunHearsOfItsCancellation) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool is_over = false;
        run.begin();
        auto task = spawn(sleep_till_cancelled(is_over));
        task.cancel();
        run.wait_until([&] { return is_over || task.done(); });
        run.end();
        const Result<void> result = co_await as_result(task);
        run.expect(task.cancelled(), "the cancellation was lost");
    }));
}

/// Whoever cancels asks three times whose the task is by now.
TEST_P(Explored, ATaskThatIsJustBeingTakenHearsOfItsCancellation) {
    EXPECT_TRUE(holds(2, kThreeOld, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool is_over = false;
        auto task = spawn(sleep_till_cancelled(is_over));
        run.begin();
        const Worker& here = *Worker::current();
        run.wait_until([&] { return !here.has_stealable(); });
        task.cancel();
        run.wait_until([&] { return is_over || task.done(); });
        run.end();
        const Result<void> result = co_await as_result(task);
        run.expect(task.cancelled(), "the cancellation was lost");
    }));
}

/// A coroutine keeps it until it ends, wherever that is: there its canceller's work must be seen.
class Witness {
public:
    Witness(model::Run& run, const Atomic<int>& place) noexcept : run_(run), place_(place) {}
    ~Witness() { run_.expect(place_.load(std::memory_order_relaxed) == 1, "what the canceller had done is not seen"); }
    Witness(const Witness&) = delete;
    Witness& operator=(const Witness&) = delete;

private:
    model::Run& run_;
    const Atomic<int>& place_;
};

Coro<> keep_till_cancelled(std::unique_ptr<Witness> /*witness*/) { co_await sleep(std::chrono::hours(1)); }

TEST_P(Explored, ACancelledTaskSeesWhatItsCancellerHadDone) {
    EXPECT_TRUE(holds(2, kTwoOld, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        Atomic<int> place{0};
        run.begin();
        auto task = spawn(keep_till_cancelled(std::make_unique<Witness>(run, place)));
        place.store(1, std::memory_order_relaxed);
        task.cancel();
        run.wait_until([&] { return task.done(); });
        run.end();
        const Result<void> result = co_await as_result(task);
        run.expect(task.cancelled(), "the cancellation was lost");
    }));
}

constexpr std::string_view kWord = "see there";

/// Whose cancellation brings the word has set the place before.
Coro<> sleep_till_told(model::Run& run, const Atomic<int>& place, bool& has_begun) {
    has_begun = true;
    try {
        co_await sleep(std::chrono::hours(1));
    } catch (const CancelledError& error) {
        if (error.what() == kWord) {
            run.expect(place.load(std::memory_order_relaxed) == 1, "what the canceller had done is not seen");
        }
        throw;
    }
}

/// Of two cancellers one may find the other's message on the task, and send it on.
TEST_P(Explored, ACancelledTaskSeesWhatACancellerHadDoneWhoseMessageAnotherSentOn) {
    bool is_on = false;
    bool has_begun = false;
    bool is_over = false;
    Task<> task;
    Atomic<int> place{0};
    EXPECT_TRUE(holds(
        2, kFourOld,
        [&](model::Run& run) -> Coro<> {
            run.let_others_rest();
            is_on = has_begun = is_over = false;
            place.store(0, std::memory_order_relaxed);
            run.begin();
            task = spawn(sleep_till_told(run, place, has_begun));
            is_on = true;
            run.wait_until([&] { return has_begun || task.done(); });
            task.cancel();
            run.wait_until([&] { return task.done(); });
            hog(run, is_over);
            run.end();
            is_on = false;
            const Result<void> result = co_await as_result(std::exchange(task, {}));
            run.expect(!result.has_value(), "the cancellation was lost");
        },
        [&](Runtime&, model::Run& run) {
            hog(run, is_on);
            place.store(1, std::memory_order_relaxed);
            task.cancel(std::string(kWord));
            is_over = true;
        }));
}

Coro<> fail_at_once() {
    throw RuntimeError("as planned");
    co_return;
}

TEST_P(Explored, AForkStopsTheChildThatIsJustBeingTaken) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        bool has_failed = false;
        run.begin();
        auto fork = fork_join(fail_at_once(), wait_for_ever());
        try {
            co_await std::move(fork);
        } catch (const RuntimeError&) {
            has_failed = true;
        }
        run.end();
        run.expect(has_failed, "the failure was lost");
    }));
}

Coro<int> give(Atomic<int>& place) {
    place.store(1, std::memory_order_relaxed);
    co_return 1;
}

TEST_P(Explored, AForkGoesOnOnceWhenAllChildrenHaveEnded) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        Atomic<int> left{0};
        Atomic<int> right{0};
        run.begin();
        auto fork = fork_join(give(left), give(right));
        auto result = co_await std::move(fork);
        const int seen = left.load(std::memory_order_relaxed) + right.load(std::memory_order_relaxed);
        run.end();
        run.expect(seen == 2, "the fork went on and did not see what a child had done");
        run.expect(std::get<0>(result) + std::get<1>(result) == 2, "a result was lost");
    }));
}

TEST_P(Explored, OneOfTwoSettersOfAFutureWins) {
    EXPECT_TRUE(holds(2, kBounds, [](model::Run& run) -> Coro<> {
        run.let_others_rest();
        Future<int> future;
        int winners = 0;
        bool has_tried = false;
        run.begin();
        get_runtime().loop(1).call_soon_threadsafe([&] {
            winners += future.done() ? 0 : 1;
            try {
                future.set_result(1);
            } catch (const InvalidStateError&) {
                --winners;
            }
            has_tried = true;
        });
        try {
            future.set_result(2);
            ++winners;
        } catch (const InvalidStateError&) {
        }
        const int value = co_await future;
        hog(run, has_tried);
        run.end();
        run.expect(value == 1 || value == 2, "a future has a value that nobody has set");
    }));
}

}  // namespace
}  // namespace knit::detail
