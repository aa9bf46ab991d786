// Cancellation when the heap is empty: it goes on without its message, and reaches what it can reach without memory.
// A binary of its own, because it replaces operator new; all loops are turned on one thread, so one flag does.

#include "co_test.hpp"

#include <new>
#include <string>
#include <tuple>
#include <utility>

#include "failing_news.hpp"

namespace {

bool is_empty = false;

}  // namespace

bool knit::test::refuses_memory() noexcept { return is_empty; }

namespace knit::test {
namespace {

class CancelOutOfMemory : public ::testing::Test {
protected:
    void SetUp() override {
        if (KNIT_ASAN || KNIT_TSAN) {
            GTEST_SKIP() << "the sanitizers bring their own operator new";
        }
    }
};

/// The heap is empty for as long as this lives.
struct EmptyHeap {
    EmptyHeap() { is_empty = true; }
    ~EmptyHeap() { is_empty = false; }
    EmptyHeap(const EmptyHeap&) = delete;
    EmptyHeap& operator=(const EmptyHeap&) = delete;
};

const std::string kLong(100, 'm');

Coro<> sleep_for(Duration time) { co_await sleep(time); }
Loop& other_loop() { return get_runtime().loop(1); }
/// Until the tasks that have just been made wait.
Coro<> settle_down() { co_await sleep(1ms); }

TEST_F(CancelOutOfMemory, AFutureIsSettledWithoutTheMessage) {
    run_one([]() -> Coro<> {
        const Future<int> future;
        std::string message = kLong;
        bool is_taken = false;
        {
            const EmptyHeap empty;
            try {
                is_taken = Future<int>(future).cancel(std::move(message));
            } catch (const std::bad_alloc&) {
                is_taken = false;
            }
        }
        EXPECT_TRUE(is_taken);
        EXPECT_TRUE(future.cancelled());
        co_return;
    });
}

TEST_F(CancelOutOfMemory, ATaskThatAwaitsAFutureIsCancelledWithoutTheMessage) {
    run_one([]() -> Coro<> {
        const Future<int> future;
        Task<std::string> task = create_task(got_message(future));
        co_await settle_down();
        std::string message = kLong;
        {
            const EmptyHeap empty;
            EXPECT_TRUE(task.cancel(std::move(message)));
        }
        EXPECT_TRUE(future.cancelled());
        EXPECT_EQ(co_await task, "!CancelledError()");
    });
}

TEST_F(CancelOutOfMemory, ATaskThatHasNotStartedEndsByIt) {
    run_one([]() -> Coro<> {
        Task<> task = create_task(sleep_for(kForever));
        task.cancel(kLong);
        {
            const EmptyHeap empty;
            co_await yield();
            co_await yield();
        }
        EXPECT_TRUE(task.cancelled());
    });
}

TEST_F(CancelOutOfMemory, AnAwaitThrowsCancelledErrorAndNoOther) {
    run_one([]() -> Coro<> {
        std::string seen;
        Task<> task = create_task([&seen]() -> Coro<> {
            try {
                co_await sleep(kForever);
            } catch (const CancelledError& error) {
                seen = error.what();
            } catch (const std::bad_alloc&) {
                seen = "bad_alloc";
            }
        });
        co_await settle_down();
        task.cancel(kLong);
        {
            const EmptyHeap empty;
            co_await yield();
            co_await yield();
        }
        EXPECT_EQ(seen, "CancelledError");
    });
}

TEST_F(CancelOutOfMemory, AGatherAsksTheChildrenThatItCanReach) {
    run([]() -> Coro<> {
        Task<> far = other_loop().create_task(sleep_for(1s));
        Task<> near = create_task(sleep_for(kForever));
        Task<> gathers = create_task([far, near]() -> Coro<> { co_await gather(far, near); });
        co_await settle_down();
        {
            const EmptyHeap empty;
            EXPECT_TRUE(gathers.cancel());
        }
        EXPECT_EQ(co_await got(gathers), "!CancelledError");
        EXPECT_TRUE(near.cancelled());
        EXPECT_EQ(co_await got(far), "void");
    }, on_loops(2));
}

/// Nobody has taken it then, so it is due when the gather has ended.
TEST_F(CancelOutOfMemory, AGatherThatCanReachNoneIsCancelledAtItsEnd) {
    run([]() -> Coro<> {
        Task<> far = other_loop().create_task(sleep_for(1s));
        Task<> gathers = create_task([far]() -> Coro<> { co_await gather(far); });
        co_await settle_down();
        {
            const EmptyHeap empty;
            EXPECT_TRUE(gathers.cancel());
        }
        EXPECT_EQ(co_await got(gathers), "!CancelledError");
        EXPECT_EQ(co_await got(far), "void");
    }, on_loops(2));
}

TEST_F(CancelOutOfMemory, AGatherHandleCancelsItsChildrenWithoutTheMessage) {
    run_one([]() -> Coro<> {
        Task<> child = create_task(sleep_for(kForever));
        auto handle = gather(child);
        Future<std::tuple<Unit>> future = handle.future();
        co_await settle_down();
        std::string message = kLong;
        bool is_taken = false;
        {
            const EmptyHeap empty;
            try {
                is_taken = future.cancel(std::move(message));
            } catch (const std::bad_alloc&) {
                is_taken = false;
            }
        }
        EXPECT_TRUE(is_taken);
        child.cancel();  // else a failure would be a hang
        EXPECT_EQ(co_await got_message(future), "!CancelledError()");
    });
}

TEST_F(CancelOutOfMemory, AForkWaitsForTheChildThatItCannotReach) {
    run([]() -> Coro<> {
        bool is_away = false;
        bool has_ended = false;
        Task<> forks = create_task([&]() -> Coro<> {
            Coro<> first = [](bool& away) -> Coro<> {
                while (!away) {
                    co_await sleep(1ms);  // somebody takes the second meanwhile
                }
            }(is_away);
            Coro<> second = [](bool& away, bool& ended) -> Coro<> {
                co_await resume_on(other_loop());
                away = true;
                co_await sleep(1s);
                ended = true;
            }(is_away, has_ended);
            co_await fork_join(std::move(first), std::move(second));
        });
        while (!is_away) {
            co_await sleep(1ms);
        }
        co_await sleep(10ms);
        {
            const EmptyHeap empty;
            EXPECT_TRUE(forks.cancel());
        }
        EXPECT_EQ(co_await got(forks), "!CancelledError");
        EXPECT_TRUE(has_ended);
    }, on_loops(2));
}

TEST_F(CancelOutOfMemory, AForkedChildThatCannotGetItsContextFails) {
    bool has_run = false;
    std::string seen;
    run([&]() -> Coro<> {
        ContextVar<int> variable("variable");
        variable.set(1);
        Coro<> first = []() -> Coro<> {
            const EmptyHeap empty;
            for (int turn = 0; turn < 100; ++turn) {
                co_await yield();
            }
        }();
        Coro<> second = [](bool& run) -> Coro<> {
            run = true;
            co_return;
        }(has_run);
        try {
            co_await fork_join(std::move(first), std::move(second));
            seen = "void";
        } catch (const std::bad_alloc&) {
            seen = "bad_alloc";
        }
    }, on_loops(2));
    EXPECT_EQ(seen, "bad_alloc");
    EXPECT_FALSE(has_run);
}

TEST_F(CancelOutOfMemory, ATaskGroupIsCancelled) {
    run_one([]() -> Coro<> {
        Task<> child;
        co_await TaskGroup::run([&child](TaskGroup& group) -> Coro<> {
            child = group.create_task(sleep_for(kForever));
            co_await settle_down();
            {
                const EmptyHeap empty;
                group.cancel();
            }
            co_await sleep(kForever);
        });
        EXPECT_TRUE(child.cancelled());
    });
}

TEST_F(CancelOutOfMemory, ATaskGroupCancelsTheTasksThatItCanReach) {
    run([]() -> Coro<> {
        Task<> far;
        Task<> near;
        co_await TaskGroup::run([&](TaskGroup& group) -> Coro<> {
            far = group.create_task(sleep_for(1s), {.loop = &other_loop()});
            near = group.create_task(sleep_for(kForever));
            co_await settle_down();
            {
                const EmptyHeap empty;
                group.cancel();
            }
            co_await sleep(kForever);
        });
        EXPECT_TRUE(near.cancelled());
        EXPECT_EQ(co_await got(far), "void");
    }, on_loops(2));
}

/// What ends `body`, whose failed tasks find the heap empty until the body is cancelled or ends.
template <class F>
Coro<std::string> errors_of_group(F body) {
    std::string seen;
    try {
        co_await TaskGroup::run(std::move(body));
        seen = "none";
    } catch (const ExceptionGroup& group) {
        for (const std::exception_ptr& error : group.errors()) {
            seen += error_text(error);
        }
    }
    co_return seen;
}

Coro<> fail_without_memory(Duration after) {
    co_await sleep(after);
    const Err error;
    is_empty = true;
    throw error;
}

TEST_F(CancelOutOfMemory, ATaskGroupLosesNoError) {
    run_one([]() -> Coro<> {
        Coro<std::string> errors = errors_of_group([](TaskGroup& group) -> Coro<> {
            group.create_task(fail_without_memory(1ms));
            try {
                co_await sleep(kForever);
            } catch (const CancelledError&) {
                is_empty = false;
                throw;
            }
        });
        EXPECT_EQ(co_await std::move(errors), "!Err");
    });
}

/// There is no way to tell the body before its end.
TEST_F(CancelOutOfMemory, ATaskGroupWhoseBodyIsElsewhereTellsTheErrorAtTheEnd) {
    run([]() -> Coro<> {
        Coro<std::string> errors = errors_of_group([](TaskGroup& group) -> Coro<> {
            group.create_task(fail_without_memory(1ms), {.loop = &other_loop()});
            for (int turn = 0; turn < 1000; ++turn) {
                testing::pass_time(100us);
                co_await yield();
            }
            EXPECT_TRUE(is_empty);
            is_empty = false;
        });
        EXPECT_EQ(co_await std::move(errors), "!Err");
        EXPECT_EQ(current_task()->cancelling(), 0);
    }, on_loops(2));
}

/// The deadline comes in the turn in which the task offers itself to all loops; no timer has been set before.
TEST_F(CancelOutOfMemory, ADeadlineWaitsForATaskThatIsOnOffer) {
    run([]() -> Coro<> {
        Timeout* limit = nullptr;
        Task<std::string> task = create_task(got(timeout_scope_at(std::nullopt, [&limit](Timeout& own) -> Coro<> {
            limit = &own;
            co_await yield();
            {
                const EmptyHeap empty;
                co_await reschedule();
            }
            co_await sleep(kForever);
        })));
        create_task([&limit]() -> Coro<> {
            limit->reschedule(TimePoint());
            co_return;
        });
        EXPECT_EQ(co_await task, "!exception");
    }, on_loops(2));
}

TEST_F(CancelOutOfMemory, AFailureThatAShieldHidIsReported) {
    Trace log;
    run_one([&log]() -> Coro<> {
        get_running_loop().set_exception_handler([&log](const ExceptionContext& context) {
            is_empty = false;
            log(context.message);
        });
        Task<> inner = create_task([]() -> Coro<> {
            co_await sleep(10ms);
            const Err error;
            is_empty = true;
            throw error;
        });
        Task<> outer = create_task([inner]() -> Coro<> { co_await shield(inner); });
        co_await settle_down();
        outer.cancel();
        co_await sleep(20ms);
        is_empty = false;
    });
    EXPECT_TRUE(log.shows({"shielded future"}));
}

}  // namespace
}  // namespace knit::test
