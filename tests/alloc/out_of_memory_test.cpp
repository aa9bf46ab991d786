// What happens when the heap is empty. A binary of its own, because it replaces operator new.

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <utility>
#include <vector>

#include "failing_news.hpp"
#include "knit/knit.hpp"

namespace {

// The test's thread sets it and alone allocates meanwhile; it publishes nothing.
knit::detail::Atomic<bool> is_empty{false};

}  // namespace

// relaxed: a flag alone
bool knit::test::refuses_memory() noexcept { return is_empty.load(std::memory_order_relaxed); }

#if !KNIT_ASAN && !KNIT_TSAN
/// In the place of malloc() in what is linked here, by the linker's --wrap: the injector's queue asks there.
extern "C" void* __real_malloc(std::size_t size);
extern "C" void* __wrap_malloc(std::size_t size) {
    return is_empty.load(std::memory_order_relaxed) ? nullptr : __real_malloc(size);  // relaxed: a flag alone
}
#endif

namespace knit {
namespace {

class OutOfMemory : public testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new";
        }
    }
};

/// The heap is empty for as long as this lives.
struct EmptyHeap {
    EmptyHeap() { is_empty.store(true, std::memory_order_relaxed); }    // relaxed: a flag alone
    ~EmptyHeap() { is_empty.store(false, std::memory_order_relaxed); }  // relaxed: a flag alone
};

RunOptions one_loop() {
    RunOptions options;
    options.loops = 1;
    return options;
}

constexpr std::size_t kMany = 100'000;  // more than a new deque holds

Coro<> count_up(std::size_t& count) {
    ++count;
    co_return;
}

/// Spawns until that fails; how many came to be.
template <class Spawn>
std::size_t spawn_until_it_fails(std::vector<Coro<>>& coros, std::vector<Task<>>& tasks, Spawn spawn_one) {
    const EmptyHeap empty;
    for (Coro<>& coro : coros) {
        try {
            tasks.push_back(spawn_one(std::move(coro)));
        } catch (const std::bad_alloc&) {
            break;
        }
    }
    return tasks.size();
}

/// run() has to end, and to have run the tasks that came to be.
template <class Spawn>
void expect_that_run_ends(Spawn spawn_one) {
    std::size_t count = 0;
    std::size_t spawned = 0;
    run([&]() -> Coro<> {
        std::vector<Coro<>> coros;
        for (std::size_t i = 0; i < kMany; ++i) {
            coros.push_back(count_up(count));
        }
        std::vector<Task<>> tasks;
        tasks.reserve(kMany);
        spawned = spawn_until_it_fails(coros, tasks, spawn_one);
        co_await gather(tasks);
    }, one_loop());
    EXPECT_LT(spawned, kMany);
    EXPECT_EQ(count, spawned);
}

TEST_F(OutOfMemory, ASpawnThatFailsLeavesNoTaskBehind) {
    expect_that_run_ends([](Coro<> coro) { return spawn(std::move(coro)); });
}

TEST_F(OutOfMemory, ASpawnWithOptionsThatFailsLeavesNoTaskBehind) {
    expect_that_run_ends([](Coro<> coro) { return spawn(std::move(coro), TaskOptions{}); });
}

TEST_F(OutOfMemory, ATaskThatCannotGetItsNameIsNotMade) {
    std::size_t count = 0;
    run([&]() -> Coro<> {
        Coro<> coro = count_up(count);
        bool is_refused = false;
        {
            const EmptyHeap empty;
            try {
                create_task(std::move(coro), TaskOptions{.name = "name"});
            } catch (const std::bad_alloc&) {
                is_refused = true;
            }
        }
        EXPECT_TRUE(is_refused);
        co_return;
    }, one_loop());
    EXPECT_EQ(count, 0U);
}

Coro<> sleep_for_hours() { co_await sleep(std::chrono::hours(1)); }

/// In a task that sees a context variable: `make` gets a coroutine while the heap is empty.
template <class Make>
void expect_no_task_without_room_for_its_context(Make make) {
    std::size_t count = 0;
    bool is_refused = false;
    run([&]() -> Coro<> {
        ContextVar<int> variable("variable");
        variable.set(1);
        Coro<> coro = count_up(count);
        {
            const EmptyHeap empty;
            try {
                make(std::move(coro));
            } catch (const std::bad_alloc&) {
                is_refused = true;
            }
        }
        co_await yield();
    }, one_loop());
    EXPECT_TRUE(is_refused);
    EXPECT_EQ(count, 0U);
}

TEST_F(OutOfMemory, ACreatedTaskThatCannotGetItsContextIsNotMade) {
    expect_no_task_without_room_for_its_context([](Coro<> coro) { static_cast<void>(create_task(std::move(coro))); });
}

TEST_F(OutOfMemory, ASpawnedTaskThatCannotGetItsContextIsNotMade) {
    expect_no_task_without_room_for_its_context([](Coro<> coro) { static_cast<void>(spawn(std::move(coro))); });
}

TEST_F(OutOfMemory, ATaskWithOptionsThatCannotGetItsContextIsNotMade) {
    expect_no_task_without_room_for_its_context(
        [](Coro<> coro) { static_cast<void>(create_task(std::move(coro), TaskOptions{})); });
}

TEST_F(OutOfMemory, ASubmittedTaskThatCannotGetItsContextIsNotMade) {
    expect_no_task_without_room_for_its_context(
        [](Coro<> coro) { static_cast<void>(get_runtime().submit(std::move(coro))); });
}

/// A request to end goes down a chain of tasks, and the second has no room for its message.
TEST_F(OutOfMemory, ACancellationGoesOnWithoutItsMessage) {
    std::string message(100, 'm');
    std::string seen = "none";
    bool is_asked = false;
    run([&]() -> Coro<> {
        Task<> inner = create_task(sleep_for_hours());
        Task<> outer = create_task([&]() -> Coro<> {
            // From now on there is room for such a message here.
            const Result<void> ended = co_await as_result(sleep(std::chrono::hours(1)));
            current_task()->uncancel();
            co_await inner;
        });
        co_await yield();
        outer.cancel(message);
        co_await yield();
        co_await yield();
        {
            const EmptyHeap empty;
            try {
                is_asked = outer.cancel(std::move(message));
            } catch (const std::bad_alloc&) {
                // Half way down: neither task would hear of another request to the first.
            }
        }
        for (int count = 0; count < 5 && !outer.done(); ++count) {
            co_await yield();
        }
        EXPECT_TRUE(outer.cancelled());
        EXPECT_TRUE(inner.cancelled());
        inner.cancel();  // else a failure would be a hang
        try {
            co_await outer;
        } catch (const CancelledError& error) {
            seen = error.what();
        }
    }, one_loop());
    EXPECT_TRUE(is_asked);
    EXPECT_EQ(seen, CancelledError().what());
}

Coro<> count_up_anywhere(std::atomic<std::size_t>& count) {
    ++count;
    co_return;
}

/// A loop whose deque is long gives work to the injector, while others sleep.
TEST_F(OutOfMemory, WorkThatTheInjectorHasNoRoomForStaysWhereItWas) {
    constexpr std::size_t kTasks = 100;
    std::atomic<std::size_t> count = 0;
    RunOptions options;
    options.loops = 8;
    options.spin = Duration::zero();
    options.slow_task = Duration::zero();  // its thread would find no memory
    run([&]() -> Coro<> {
        for (std::size_t index = 1; index < 8; ++index) {
            while (get_runtime().metrics().loops[index].parks == 0) {
                co_await yield();
            }
        }
        std::vector<Coro<>> coros;
        for (std::size_t i = 0; i < kTasks; ++i) {
            coros.push_back(count_up_anywhere(count));
        }
        std::vector<Task<>> tasks;
        tasks.reserve(kTasks);
        EXPECT_EQ(kTasks, spawn_until_it_fails(coros, tasks, [](Coro<> coro) { return spawn(std::move(coro)); }));
        co_await gather(tasks);
    }, options);
    EXPECT_EQ(count, kTasks);
}

}  // namespace
}  // namespace knit
