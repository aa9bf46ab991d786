// A cancellation at every point: each program runs again and again, and its victim is cancelled one turn later each
// time, until it ends before that. Whatever the point, nothing may be lost: no lock, permit, item, notification, task.

#include "co_test.hpp"

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

/// Programs give their victim and the tasks beside it, and say afterwards whether all is as it has to be.
struct Program {
    Program() = default;
    Program(const Program&) = delete;
    Program& operator=(const Program&) = delete;
    virtual ~Program() = default;

    virtual Coro<> victim() = 0;
    virtual Coro<> other() = 0;
    /// Runs when both have ended.
    virtual Coro<> check() = 0;
    /// How much later each cancellation comes; zero: a turn.
    virtual Duration step() const { return Duration::zero(); }
};

/// Whether the victim had ended before it was to be cancelled.
Coro<bool> run_once(std::unique_ptr<Program> program, int turns) {
    Runtime& runtime = get_runtime();
    Loop& far = runtime.loop(runtime.size() - 1);
    const Task<> other = create_task(program->other(), {.loop = &runtime.loop(0)});
    Task<> victim = create_task(program->victim(), {.loop = &far});
    if (program->step() > Duration::zero()) {
        co_await sleep(program->step() * turns);
    } else {
        co_await tick(turns);
    }
    const bool was_done = victim.done();
    victim.cancel();
    const Result<void> outcome = co_await as_result(victim);
    EXPECT_TRUE(was_done || victim.cancelled() || outcome.has_value());
    co_await other;
    co_await program->check();
    co_return was_done;
}

template <class P>
void cancel_at_each_turn() {
    const std::uint64_t seed_before = testing::seed();
    for (const unsigned loops : {1U, 2U}) {
        for (std::uint64_t seed = 1; seed <= (loops == 1 ? 1 : kSeedsMax); ++seed) {
            testing::set_seed(seed);
            bool was_done = false;
            int turns = 0;
            for (; !was_done && turns < 500; ++turns) {
                SCOPED_TRACE(std::to_string(loops) + " loops, seed " + std::to_string(seed) + ", turn " +
                             std::to_string(turns));
                was_done = run(run_once(std::make_unique<P>(), turns), on_loops(loops));
            }
            EXPECT_TRUE(was_done) << "the victim never ends";
            EXPECT_GT(turns, 2) << "it ends too soon to be cancelled";
        }
    }
    testing::set_seed(seed_before);
}

constexpr int kRounds = 4;

struct Locks : Program {
    Coro<> use() {
        for (int i = 0; i < kRounds; ++i) {
            const auto guard = co_await lock.scoped();
            EXPECT_EQ(++inside, 1);
            co_await leave();
        }
    }
    Coro<> leave() {
        const auto restore = [this](int*) { --inside; };
        const std::unique_ptr<int, decltype(restore)> on_exit(&inside, restore);
        co_await yield();
    }
    Coro<> victim() override { return use(); }
    Coro<> other() override { return use(); }
    Coro<> check() override {
        EXPECT_FALSE(lock.locked());
        EXPECT_EQ(inside, 0);
        co_await lock.acquire();
        lock.release();
    }
    Lock lock;
    int inside = 0;
};
TEST(CancelEverywhere, ALockIsNeverLost) { cancel_at_each_turn<Locks>(); }

struct Semaphores : Program {
    Coro<> use() {
        for (int i = 0; i < kRounds; ++i) {
            const auto permit = co_await semaphore.scoped();
            co_await yield();
        }
    }
    Coro<> victim() override { return use(); }
    Coro<> other() override {
        co_await gather(use(), use());
    }
    Coro<> check() override {
        EXPECT_FALSE(semaphore.locked());
        co_await semaphore.acquire();
        co_await semaphore.acquire();
        EXPECT_TRUE(semaphore.locked());
    }
    BoundedSemaphore semaphore{2};
};
TEST(CancelEverywhere, APermitIsNeverLost) { cancel_at_each_turn<Semaphores>(); }

struct Getters : Program {
    static constexpr int kItems = 12;
    Coro<> take(std::vector<int>& into, int count) {
        for (int i = 0; i < count; ++i) {
            into.push_back(co_await queue.get());
        }
    }
    Coro<> victim() override { return take(of_victim, kItems); }
    Coro<> other() override {
        for (int i = 0; i < kItems; ++i) {
            co_await queue.put(i);
            if (i % 3 == 2) {
                co_await yield();
            }
        }
    }
    Coro<> check() override {
        while (!queue.empty()) {
            of_victim.push_back(queue.get_nowait());
        }
        std::vector<int> all(kItems);
        std::iota(all.begin(), all.end(), 0);
        EXPECT_EQ(of_victim, all);  // each once, and in order
        co_return;
    }
    Queue<int> queue;
    std::vector<int> of_victim;
};
TEST(CancelEverywhere, AnItemIsNeverLostByAGetter) { cancel_at_each_turn<Getters>(); }

struct Putters : Program {
    Coro<> victim() override {
        for (int i = 0; i < 8; ++i) {
            co_await queue.put(i);
            ++put;
        }
    }
    Coro<> other() override {
        for (;;) {
            const Result<int> item = co_await as_result(wait_for(queue.get(), 1s));
            if (!item) {
                break;
            }
            got.push_back(item.value());
            co_await yield();
        }
    }
    Coro<> check() override {
        EXPECT_EQ(static_cast<int>(got.size()), put);
        EXPECT_TRUE(std::ranges::is_sorted(got));
        EXPECT_FALSE(queue.full());
        co_return;
    }
    Queue<int> queue{1};
    int put = 0;
    std::vector<int> got;
};
TEST(CancelEverywhere, APutHappensWholeOrNotAtAll) { cancel_at_each_turn<Putters>(); }

struct Conditions : Program {
    Coro<> consume(int count) {
        const auto guard = co_await condition.scoped();
        for (int i = 0; i < count; ++i) {
            co_await condition.wait_for([this] { return stock > 0; });
            --stock;
            ++consumed;
        }
    }
    Coro<> victim() override { return consume(3); }
    Coro<> other() override {
        for (int i = 0; i < 6; ++i) {
            const auto guard = co_await condition.scoped();
            ++stock;
            condition.notify();
            co_await yield();
        }
    }
    Coro<> check() override {
        EXPECT_FALSE(condition.locked());
        EXPECT_EQ(stock + consumed, 6);
        co_await with_timeout(1s, consume(stock));
        EXPECT_EQ(stock, 0);
    }
    Condition condition;
    int stock = 0;
    int consumed = 0;
};
TEST(CancelEverywhere, ANotificationIsNotLostAndTheLockComesBack) { cancel_at_each_turn<Conditions>(); }

struct Groups : Program {
    Coro<> child(int turns) {
        ++running;
        const auto count_down = [this](int*) { --running; };
        const std::unique_ptr<int, decltype(count_down)> on_exit(&running, count_down);
        co_await tick(turns);
    }
    Coro<> victim() override {
        const auto body = [this](TaskGroup& group) -> Coro<> {
            group.create_task(child(3));
            group.create_task(child(5));
            co_await yield();
            group.create_task(child(2));
        };
        co_await TaskGroup::run(body);
        EXPECT_EQ(running, 0);
    }
    Coro<> other() override { co_return; }
    Coro<> check() override {
        EXPECT_EQ(running, 0);
        co_return;
    }
    int running = 0;
};
TEST(CancelEverywhere, AGroupLeavesNoChildBehind) { cancel_at_each_turn<Groups>(); }

struct Limits : Program {
    Coro<> victim() override {
        for (int i = 0; i < kRounds; ++i) {
            const Result<void> outcome = co_await as_result(with_timeout(3ms, hold()));
            if (!outcome && current_task()->cancelling() > 0) {
                outcome.value();
            }
        }
    }
    Coro<> hold() {
        const auto guard = co_await lock.scoped();
        co_await sleep(2ms);
    }
    Coro<> other() override { return hold(); }
    Coro<> check() override {
        EXPECT_FALSE(lock.locked());
        EXPECT_EQ(current_task()->cancelling(), 0);
        co_return;
    }
    Duration step() const override { return 250us; }
    Lock lock;
};
TEST(CancelEverywhere, ADeadlineAndACancellationLeaveTheLockFree) { cancel_at_each_turn<Limits>(); }

struct Gathers : Program {
    Coro<int> child(int turns) {
        const auto guard = co_await semaphore.scoped();
        co_await tick(turns);
        co_return turns;
    }
    Coro<> victim() override {
        const auto [a, b, c] = co_await gather(child(1), spawn(child(2)), shield(child(3)));
        EXPECT_EQ(a + b + c, 6);
    }
    Coro<> other() override { co_return; }
    Coro<> check() override {
        co_await tick(20);  // what is shielded goes on
        for (int i = 0; i < 2; ++i) {
            co_await with_timeout(1s, semaphore.acquire());
        }
    }
    BoundedSemaphore semaphore{2};
};
TEST(CancelEverywhere, AGatherEndsItsChildrenAndSparesWhatIsShielded) { cancel_at_each_turn<Gathers>(); }

}  // namespace
}  // namespace knit::test
