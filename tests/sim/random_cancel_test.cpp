// Random programs that are cancelled at any point: locks, queues, semaphores, events, groups, timeouts, moves from loop
// to loop. There is no one right result; what must hold is that nothing is lost and nothing is done twice: a lock has
// one holder, permits come back, each item that was put is got once, every task ends when it is asked to, every frame
// goes, and no run goes round in circles or stands still.

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "knit/core.hpp"
#include "knit/testing.hpp"
#include "sim_seeds.hpp"

namespace knit::test {
namespace {

constexpr int kPermits = 2;

struct Scene {
    explicit Scene(std::uint64_t seed) : random(seed) {}

    unsigned below(unsigned limit) { return static_cast<unsigned>(random() % limit); }
    Duration moment() { return std::chrono::microseconds(below(300)); }
    void expect(bool condition, const char* text) {
        if (!condition && fault.empty()) {
            fault = text;
        }
    }

    std::mt19937_64 random;
    Lock lock;
    Semaphore permits{kPermits};
    Event event;
    Queue<int> queue{3};
    std::vector<Task<>> tasks;
    std::vector<bool> got;
    int next_item = 0;
    int holders = 0;
    int permitted = 0;
    int alive = 0;
    int left = 60;  ///< so many coroutines may still be made
    std::string fault;
};

class Watch {
public:
    explicit Watch(Scene& scene) : scene_(scene) { ++scene_.alive; }
    ~Watch() {
        scene_.expect(mark_ == kMark, "a frame was destroyed twice");
        mark_ = 0;
        --scene_.alive;
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    void check() const { scene_.expect(mark_ == kMark, "a coroutine went on after its end"); }

private:
    static constexpr int kMark = 0x6b6e;
    int mark_ = kMark;
    Scene& scene_;
};

Coro<> act(Scene& scene);

Coro<> with_lock(Scene& scene) {
    auto guard = co_await scene.lock.scoped();
    scene.expect(++scene.holders == 1, "a lock has two holders");
    struct Out {
        Scene& scene;
        ~Out() { --scene.holders; }
    } const out{scene};
    const Duration time = scene.moment();
    if (scene.below(2) == 0) {
        co_await sleep(time);
    } else {
        co_await yield();
    }
}

Coro<> with_permit(Scene& scene) {
    co_await scene.permits.acquire();
    struct Out {
        Scene& scene;
        ~Out() {
            --scene.permitted;
            scene.permits.release();
        }
    } const out{scene};
    scene.expect(++scene.permitted <= kPermits, "a semaphore let too many in");
    const Duration time = scene.moment();
    co_await sleep(time);
}

/// Items are numbered when they are in: FIFO by the queue's promise, with one putter at a time.
Coro<> put(Scene& scene) {
    auto guard = co_await scene.lock.scoped();
    const int item = scene.next_item;
    co_await scene.queue.put(item);
    ++scene.next_item;
    scene.got.resize(std::max(scene.got.size(), static_cast<std::size_t>(scene.next_item)));
}

Coro<> get(Scene& scene) {
    const int item = co_await scene.queue.get();
    scene.queue.task_done();
    const auto index = static_cast<std::size_t>(item);
    scene.got.resize(std::max(scene.got.size(), index + 1));
    scene.expect(!scene.got[index], "an item was got twice");
    scene.got[index] = true;
}

Coro<> wait_event(Scene& scene) {
    if (scene.below(3) == 0) {
        scene.event.set();
        scene.event.clear();
    } else {
        co_await scene.event.wait();
    }
}

Coro<> group(Scene& scene) {
    auto body = [&scene](TaskGroup& tasks) -> Coro<> {
        tasks.create_task(act(scene));
        tasks.spawn(act(scene));
        co_await yield();
    };
    co_await TaskGroup::run(std::move(body));
}

Coro<> forked(Scene& scene) { co_await fork_join(act(scene), act(scene)); }

Coro<> gathered(Scene& scene) { co_await gather(spawn(act(scene)), act(scene)); }

Coro<> move(Scene& scene) {
    Runtime& runtime = get_runtime();
    Loop& target = runtime.loop(scene.below(static_cast<unsigned>(runtime.size())));
    if (scene.below(2) == 0) {
        co_await resume_on(target);
    } else {
        co_await reschedule();
    }
}

void start(Scene& scene) {
    Runtime& runtime = get_runtime();
    TaskOptions options;
    options.loop = &runtime.loop(scene.below(static_cast<unsigned>(runtime.size())));
    scene.tasks.push_back(scene.below(2) == 0 ? spawn(act(scene)) : create_task(act(scene), options));
}

void cancel_one(Scene& scene) {
    if (!scene.tasks.empty()) {
        Task<> victim = scene.tasks[scene.below(static_cast<unsigned>(scene.tasks.size()))];
        victim.cancel();
    }
}

/// One thing that a coroutine does.
Coro<> step(Scene& scene) {
    const Duration time = scene.moment();
    switch (scene.below(16)) {
        case 0: return with_lock(scene);
        case 1: return with_permit(scene);
        case 2: return put(scene);
        case 3: return get(scene);
        case 4: return wait_event(scene);
        case 5: return group(scene);
        case 6: return forked(scene);
        case 7: return gathered(scene);
        case 8: return move(scene);
        case 9: return with_timeout(time, act(scene));
        case 10: return as_coro(shield(act(scene)));
        case 11: return as_coro(wait_for(act(scene), time));
        case 12: start(scene); break;
        case 13: cancel_one(scene); break;
        case 14: throw std::runtime_error("as planned");
        default: break;
    }
    return as_coro(sleep(time));
}

Coro<> act(Scene& scene) {
    Watch watch(scene);
    if (--scene.left < 0) {
        co_return;
    }
    for (unsigned count = 1 + scene.below(4); count > 0; --count) {
        Coro<> next = step(scene);
        co_await std::move(next);
        watch.check();
    }
}

Coro<> main_of(Scene& scene) {
    for (int count = 0; count < 6; ++count) {
        start(scene);
    }
    for (unsigned count = scene.below(20); count > 0; --count) {
        const Duration time = scene.moment();
        co_await sleep(time);
        cancel_one(scene);
    }
    // Asked again until it has ended: a task may take a cancellation and go on, as a shield or a timeout makes it.
    for (std::size_t index = 0; index < scene.tasks.size(); ++index) {
        Task<> task = scene.tasks[index];
        for (int times = 0; !task.done(); ++times) {
            scene.expect(times < 1000, "a task does not end, however often it is cancelled");
            task.cancel();
            co_await sleep(std::chrono::milliseconds(1));
        }
        const Result<void> outcome = co_await as_result(task);
        static_cast<void>(outcome);
    }
}

Coro<> check(Scene& scene) {
    scene.expect(!scene.lock.locked() && scene.holders == 0, "a lock is still held");
    for (int count = 0; count < kPermits; ++count) {
        scene.expect(!scene.permits.locked(), "a permit was lost");
        co_await scene.permits.acquire();
    }
    scene.expect(scene.permits.locked(), "a permit was made up");
    while (!scene.queue.empty()) {
        const int item = scene.queue.get_nowait();
        scene.got.resize(std::max(scene.got.size(), static_cast<std::size_t>(item) + 1));
        scene.expect(!scene.got[static_cast<std::size_t>(item)], "an item was got twice");
        scene.got[static_cast<std::size_t>(item)] = true;
    }
    for (int item = 0; item < scene.next_item; ++item) {
        scene.expect(scene.got[static_cast<std::size_t>(item)], "an item was lost");
    }
}

Coro<> whole(Scene& scene) {
    co_await main_of(scene);
    // Children of what was cancelled, shielded ones above all, end by themselves or with the run.
    co_await sleep(std::chrono::milliseconds(10));
    for (const TaskRef& task : all_tasks()) {
        scene.expect(!task.name().empty(), "a task without a name");
    }
}

void run_program(std::uint64_t seed) {
    Scene scene(seed);
    testing::SimulationOptions options;
    options.loops = 1 + static_cast<unsigned>(seed % 4);
    options.steps_max = 500'000;
    options.run.exception_handler = [](const ExceptionContext&) {};
    testing::simulate(seed, options, whole(scene));
    scene.expect(scene.alive == 0, "a frame is left");
    testing::simulate(seed, options, check(scene));
    if (!scene.fault.empty()) {
        throw std::logic_error(scene.fault);
    }
}

TEST(RandomCancel, LosesNothingAndDoesNothingTwice) {
    EXPECT_NO_THROW(testing::for_each_seed(first_seed(), seed_count(1000), run_program));
}

}  // namespace
}  // namespace knit::test
