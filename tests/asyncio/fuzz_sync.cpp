// Random programs on what tasks share and wait by: locks, events, conditions, semaphores, barriers, deadlines, groups.

#include "program.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

constexpr int kActs = 24;
constexpr int kTasksMax = 40;

struct World {
    explicit World(std::uint64_t seed) : random(seed), budget(70 + static_cast<int>(seed % 50)) {}

    bool spend() { return --budget >= 0 && !is_closing; }
    int task_count() const { return static_cast<int>(tasks.size()); }
    Task<int>& task(int which) { return tasks[static_cast<std::size_t>(which)]; }

    Random random;
    int budget;
    bool is_closing = false;
    std::vector<Task<int>> tasks;
    std::array<Lock, 2> locks;
    std::array<Event, 2> events;
    Semaphore one{1};
    Semaphore two{2};
    Condition condition;
    Barrier barrier{2};
    int changes = 0;
};

std::string failure_text(const std::exception_ptr& error) {
    const std::string name = error_text(error);
    return name == "!CancelledError" ? name : error_text(error, true);
}

template <class A>
Coro<std::string> outcome(A awaitable) {
    try {
        auto value = co_await std::move(awaitable);
        co_return show(value);
    } catch (...) {
        co_return failure_text(std::current_exception());
    }
}

std::string state(const Task<int>& task) {
    if (!task.done()) {
        return "pending";
    }
    if (task.cancelled()) {
        return "cancelled";
    }
    if (const std::exception_ptr error = task.exception()) {
        return failure_text(error);
    }
    return show(task.result());
}

Coro<int> worker(World& world, int who, int depth);
Coro<> act(World& world, int who, int depth);

Task<int> add_task(World& world, int depth, TaskGroup* group = nullptr) {
    const int who = world.task_count();
    Coro<int> coro = worker(world, who, depth);
    world.tasks.push_back(group != nullptr ? group->create_task(std::move(coro)) : create_task(std::move(coro)));
    log("  made", who);
    return world.task(who);
}

Coro<> recover(World& world, int who, std::exception_ptr failure) {
    const int choice = world.random(8);
    if (choice == 0) {
        log(who, "swallows");
        co_return;
    }
    if (choice == 1) {
        log(who, "uncancels", me().uncancel());
        co_return;
    }
    if (choice == 2) {
        co_await sleep(milliseconds(world.random(3)));
        log(who, "cleaned up");
    }
    if (choice == 3) {
        throw Err("other" + std::to_string(who));
    }
    std::rethrow_exception(failure);
}

Coro<int> worker(World& world, int who, int depth) {
    log(who, "starts");
    std::exception_ptr failure;
    try {
        const int steps = 1 + world.random(5);
        for (int step = 0; step < steps; ++step) {
            co_await act(world, who, depth);
        }
        if (world.random(8) == 0) {
            throw Err("e" + std::to_string(who));
        }
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure != nullptr) {
        log(who, "hit by", failure_text(failure), me().cancelling(), now());
        co_await recover(world, who, failure);
    }
    log(who, "returns");
    co_return who;
}

void poke(World& world, std::string who, int depth) {
    if (!world.spend()) {
        return;
    }
    const int task = world.random(world.task_count());
    const int choice = world.random(7);
    log(" ", who, "pokes", choice);
    if (choice <= 1) {
        log("  cancel", task, world.task(task).cancel());
    } else if (choice == 2) {
        if (world.task_count() < kTasksMax) {
            add_task(world, depth + 1);
        }
    } else if (choice == 3) {
        world.events[0].set();
    } else if (choice == 4) {
        world.events[1].clear();
    } else if (choice == 5) {
        loop().call_later(milliseconds(world.random(3)), [&world, depth] { poke(world, "later", depth); });
    } else {
        log("  look", world.locks[0].locked(), world.two.locked(), world.condition.locked(), world.barrier.n_waiting(),
            world.task(task).cancelling());
    }
}

Coro<> use_lock(World& world, int who, int depth) {
    const int which = world.random(2);
    {
        const auto guard = co_await world.locks[static_cast<std::size_t>(which)].scoped();
        log(who, "has lock", which);
        co_await act(world, who, depth + 1);
        co_await sleep(milliseconds(world.random(2)));
    }
    log(who, "released lock", which);
}

Coro<> use_semaphore(World& world, int who, int depth) {
    const int which = world.random(2);
    {
        const auto guard = co_await (which == 0 ? world.one : world.two).scoped();
        log(who, "has semaphore", which);
        co_await act(world, who, depth + 1);
        co_await sleep(milliseconds(world.random(2)));
    }
    log(who, "released semaphore", which);
}

Coro<> use_event(World& world, int who) {
    const int which = world.random(2);
    const int choice = world.random(4);
    Event& event = world.events[static_cast<std::size_t>(which)];
    log(who, "event", which, choice, event.is_set());
    if (choice == 0) {
        event.set();
    } else if (choice == 1) {
        event.clear();
    } else {
        co_await event.wait();
        log(who, "saw event", which, event.is_set());
    }
}

Coro<> use_condition(World& world, int who) {
    const int choice = world.random(5);
    {
        const auto guard = co_await world.condition.scoped();
        log(who, "in condition", choice);
        if (choice <= 1) {
            co_await world.condition.wait();
            log(who, "notified", world.changes, world.condition.locked());
        } else if (choice == 2) {
            const int wanted = world.changes + 1;
            const auto has_changed = [&] { return world.changes >= wanted; };
            co_await world.condition.wait_for(has_changed);
            log(who, "saw change", world.changes);
        } else if (choice == 3) {
            ++world.changes;
            world.condition.notify(static_cast<std::size_t>(1 + world.random(2)));
        } else {
            ++world.changes;
            world.condition.notify_all();
        }
    }
    log(who, "left condition");
}

/// One that cannot await this one.
Task<int> later_task(World& world, int who) {
    const int which = who + 1 + world.random(world.task_count() - who - 1);
    log("  takes", which);
    return world.task(which);
}

Coro<int> nested(World& world, int who, int depth) {
    co_await act(world, who, depth + 1);
    co_await act(world, who, depth + 1);
    co_return who;
}

Coro<> limited(World& world, int who, int depth) {
    const milliseconds limit(world.random(4) - 1);
    const int choice = world.random(4);
    log(who, "limit", limit.count(), choice);
    std::string text;
    if (choice == 0) {
        Event& event = world.events[static_cast<std::size_t>(world.random(2))];
        text = co_await outcome(wait_for(event.wait(), limit));
    } else if (choice == 1) {
        text = co_await outcome(wait_for(nested(world, who, depth), limit));
    } else if (choice == 2 && world.task_count() > who + 1) {
        text = co_await outcome(wait_for(later_task(world, who), limit));
    } else {
        text = co_await outcome(wait_for(sleep(milliseconds(world.random(3)), who), limit));
    }
    log(who, "in time", text, me().cancelling(), now());
}

Coro<> in_timeout(World& world, int who, int depth) {
    Timeout scope = timeout(milliseconds(world.random(5) - 1));
    const auto body = [&](Timeout& limit) -> Coro<> {
        co_await act(world, who, depth + 1);
        if (world.random(3) == 0) {
            limit.reschedule(loop().time() + milliseconds(world.random(3)));
        }
        co_await nested(world, who, depth);
    };
    try {
        co_await timeout_scope(scope, body);
    } catch (const TimeoutError&) {
        log(who, "too late", me().cancelling(), now());
    }
    log(who, "expired", scope.expired());
}

Coro<int> block(World& world, int who, int depth) {
    const auto body = [&](TaskGroup& group) -> Coro<> {
        const int count = 1 + world.random(3);
        for (int child = 0; child < count; ++child) {
            if (world.task_count() < kTasksMax) {
                add_task(world, depth + 1, &group);
            }
        }
        co_await act(world, who, depth + 1);
        log(who, "body ends");
    };
    co_await TaskGroup::run(body);
    co_return who;
}

Coro<> in_group(World& world, int who, int depth) {
    log(who, "enters a group");
    if (world.random(2) != 0) {
        const std::string text = co_await outcome(block(world, who, depth));
        log(who, "group", text, me().cancelling());
    } else {
        co_await block(world, who, depth);
        log(who, "left the group");
    }
}

Coro<> shielded(World& world, int who) {
    if (world.task_count() <= who + 1) {
        co_return;
    }
    const Task<int> inner = later_task(world, who);
    std::string text;
    if (world.random(2) != 0) {
        const milliseconds limit(1 + world.random(3));
        text = co_await outcome(wait_for(shield(inner), limit));
    } else {
        text = co_await outcome(shield(inner));
    }
    log(who, "shield", text);
}

Coro<> wait_some(World& world, int who) {
    if (world.task_count() <= who + 1) {
        co_return;
    }
    std::vector<Task<int>> picked;
    for (int which = who + 1; which < std::min(who + 4, world.task_count()); ++which) {
        picked.push_back(world.task(which));
    }
    WaitOptions options;
    options.return_when = std::array{FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED}[static_cast<std::size_t>(
        world.random(3))];
    if (const int limit = world.random(3); limit != 0) {
        options.timeout = milliseconds(limit);
    }
    const auto result = co_await wait(picked, options);
    log(who, "waited", result.done.size(), result.pending.size(), now());
}

Coro<> act(World& world, int who, int depth) {
    if (!world.spend() || depth > 3) {
        co_return;
    }
    const int choice = world.random(kActs);
    log(who, "act", choice, now());
    if (choice == 0) {
        co_await sleep(0s);
    } else if (choice == 1) {
        co_await sleep(milliseconds(1 + world.random(3)));
    } else if (choice <= 4) {
        co_await use_lock(world, who, depth);
    } else if (choice <= 6) {
        co_await use_semaphore(world, who, depth);
    } else if (choice <= 8) {
        co_await use_event(world, who);
    } else if (choice <= 11) {
        co_await use_condition(world, who);
    } else if (choice == 12) {
        const std::size_t before = world.barrier.n_waiting();
        const std::string text = co_await outcome(world.barrier.wait());
        log(who, "barrier", before, text);
    } else if (choice == 13) {
        co_await limited(world, who, depth);
    } else if (choice == 14) {
        co_await in_timeout(world, who, depth);
    } else if (choice <= 16) {
        co_await in_group(world, who, depth);
    } else if (choice == 17) {
        co_await shielded(world, who);
    } else if (choice == 18) {
        co_await wait_some(world, who);
    } else {
        poke(world, std::to_string(who), depth);
    }
}

Coro<> main_of(World& world) {
    for (int count = 0; count < 4; ++count) {
        add_task(world, 0);
    }
    co_await sleep(milliseconds(4 + world.random(6)));
    log("main ends", now());
    world.is_closing = true;
    if (world.random(2) != 0) {
        co_return;  // what is left, run() ends
    }
    co_await tick(2);
    for (int round = 0; round < 3; ++round) {
        std::vector<std::string> asked;
        for (Task<int>& task : world.tasks) {
            asked.push_back(show(task.cancel()));
        }
        log(asked);
        co_await sleep(3ms);
    }
    co_await gather(return_exceptions, world.tasks);
}

void shared() {
    const auto [first, last] = seeds();
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        log("seed", seed);
        World world(seed);
        run_one(main_of(world));
        std::vector<std::string> states;
        for (const Task<int>& task : world.tasks) {
            states.push_back(state(task));
        }
        log(states);
        log(world.locks[0].locked(), world.locks[1].locked(), world.one.locked(), world.two.locked(),
            world.condition.locked());
    }
}

const Family family("fuzz_sync", {
    {"shared", shared},
});

}  // namespace
}  // namespace knit::pairs
