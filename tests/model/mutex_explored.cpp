// The real mutex under the explorer: three threads, of which two may sleep at a time.

#include "explored_test.hpp"
#include "knit/detail/mutex.hpp"

namespace knit::detail {
namespace {

struct Scene {
    /// One turn with what the mutex guards, which is read and written in two steps.
    void take_turn(model::Run& run) {
        mutex.lock();
        run.expect(holders++ == 0, "two hold the mutex");
        const int seen = count.load(std::memory_order_relaxed);
        count.store(seen + 1, std::memory_order_relaxed);
        --holders;
        mutex.unlock();
    }

    Mutex mutex;
    Atomic<int> count{0};
    int holders = 0;
};

TEST(MutexExplored, OneAtATimeHoldsItAndWhoSleepsIsWoken) {
    EXPECT_TRUE(model::holds({.preemptions = 3, .old_values = 1}, [](model::Run& run) {
        Scene scene;
        for (int thread = 0; thread < 3; ++thread) {
            run.thread([&] { scene.take_turn(run); });
        }
        run.begin();
        run.join();
        run.end();
        run.expect(scene.count.load(std::memory_order_relaxed) == 3, "a holder did not see what the one before wrote");
    }));
}

TEST(MutexExplored, TwoThreadsTakeTurns) {
    EXPECT_TRUE(model::holds({.preemptions = 4, .old_values = 2}, [](model::Run& run) {
        Scene scene;
        for (int thread = 0; thread < 2; ++thread) {
            run.thread([&] {
                scene.take_turn(run);
                scene.take_turn(run);
            });
        }
        run.begin();
        run.join();
        run.end();
        run.expect(scene.count.load(std::memory_order_relaxed) == 4, "a holder did not see what the one before wrote");
    }));
}

}  // namespace
}  // namespace knit::detail
