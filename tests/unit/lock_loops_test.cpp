// Lock, across loops.

#include "co_test.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace knit::test {
namespace {

/// A plain counter that only the lock protects: with other loops between its load and its store.
Coro<> count_up(Lock& lock, int& counter, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        const Guard guard = co_await lock.scoped();
        const int before = counter;
        co_await tick(round % 3);
        counter = before + 1;
    }
}

CO_TEST_ON_LOOPS(LockOnLoops, ExcludesAllOthers) {
    Lock lock;
    int counter = 0;
    std::vector<Task<>> tasks;
    for (int count = 0; count < 8; ++count) {
        tasks.push_back(spawn(count_up(lock, counter, 10)));
    }
    co_await gather(tasks);
    EXPECT_EQ(counter, 80);
    EXPECT_FALSE(lock.locked());
}

Coro<> queue_up(Lock& lock, Trace& log, std::string name, bool& stands_in_line) {
    Loop& home = get_running_loop();
    stands_in_line = true;
    co_await lock.acquire();
    EXPECT_EQ(&get_running_loop(), &home);
    log(name);
    lock.release();
}

/// Tasks of several loops that stand in the line of a lock in the order of their names.
Coro<std::vector<Task<>>> line_of(Lock& lock, Trace& log, int count) {
    Runtime& runtime = get_runtime();
    std::vector<Task<>> tasks;
    for (int index = 0; index < count; ++index) {
        bool stands_in_line = false;
        Loop& loop = runtime.loop(static_cast<std::size_t>(index) % runtime.size());
        tasks.push_back(create_task(queue_up(lock, log, std::to_string(index), stands_in_line), {.loop = &loop}));
        while (!stands_in_line) {
            co_await tick(1);
        }
    }
    co_return tasks;
}

CO_TEST_ON_LOOPS(LockOnLoops, IsGrantedInTheOrderOfAskingAndWakesEachOnItsOwnLoop) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const std::vector<Task<>> tasks = co_await line_of(lock, log, 8);
    lock.release();
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1", "2", "3", "4", "5", "6", "7"}));
    EXPECT_FALSE(lock.locked());
}

CO_TEST_ON_LOOPS(LockOnLoops, IsNeverLostHoweverWaitersAreCancelled) {
    for (unsigned mask = 0; mask < 16; ++mask) {
        for (const bool release_first : {false, true}) {
            Lock lock;
            Trace log;
            co_await lock.acquire();
            std::vector<Task<>> tasks = co_await line_of(lock, log, 4);
            if (release_first) {
                lock.release();
            }
            for (unsigned index = 0; index < 4; ++index) {
                if ((mask >> index & 1U) != 0) {
                    tasks[index].cancel();
                }
            }
            if (!release_first) {
                co_await tick(static_cast<int>(mask % 3));
                lock.release();
            }
            co_await gather(return_exceptions, tasks);
            std::vector<std::string> expected;
            for (std::size_t index = 0; index < 4; ++index) {
                if (!tasks[index].cancelled()) {
                    expected.push_back(std::to_string(index));
                }
            }
            EXPECT_TRUE(log.shows(expected));
            EXPECT_FALSE(lock.locked());
            co_await lock.acquire();
        }
    }
}

CO_TEST_ON_LOOPS(LockOnLoops, AGuardReleasesFromWhateverLoop) {
    Lock lock;
    Trace log;
    Runtime& runtime = get_runtime();
    Guard guard = co_await lock.scoped();
    const std::vector<Task<>> tasks = co_await line_of(lock, log, 2);
    co_await resume_on(runtime.loop(runtime.size() - 1));
    guard.release();
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1"}));
}

CO_TEST_ON_LOOPS(LockOnLoops, MayBeReleasedByAPlainThread) {
    Lock lock;
    Trace log;
    co_await lock.acquire();
    const std::vector<Task<>> tasks = co_await line_of(lock, log, 2);
    co_await to_thread([&] { lock.release(); });
    co_await gather(tasks);
    EXPECT_TRUE(log.shows({"0", "1"}));
}

}  // namespace
}  // namespace knit::test
