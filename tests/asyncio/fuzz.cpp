// Random programs: a generator decides what each task does next, so that the first event out of order shows.

#include "program.hpp"

#include <algorithm>
#include <utility>

namespace knit::pairs {
namespace {

constexpr int kActs = 16;
constexpr int kPokes = 12;
constexpr int kTasksMax = 40;

using Values = std::vector<int>;

struct StoredGather {
    int lowest;  ///< task in it
    Future<Values> future;
};

struct World {
    explicit World(std::uint64_t seed) : random(seed), budget(60 + static_cast<int>(seed % 60)) {}

    int next_value() { return ++values; }
    /// Whether there is anything left to be done.
    bool spend() { return --budget >= 0 && !is_closing; }
    int task_count() const { return static_cast<int>(tasks.size()); }
    int random_task() { return random(task_count()); }
    int random_future() { return random(static_cast<int>(futures.size())); }
    Task<int>& task(int which) { return tasks[static_cast<std::size_t>(which)]; }
    Future<int>& future(int which) { return futures[static_cast<std::size_t>(which)]; }

    Random random;
    int budget;
    bool is_closing = false;
    std::vector<Task<int>> tasks;
    std::vector<Future<int>> futures;
    std::vector<StoredGather> gathers;
    std::vector<Handle> handles;
    int values = 0;
};

/// No message of a CancelledError: CPython gives it to the first who asks alone.
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

template <class T>
std::string state(const Future<T>& future) {
    if (!future.done()) {
        return "pending";
    }
    if (future.cancelled()) {
        return "cancelled";
    }
    if (const std::exception_ptr error = future.exception()) {
        return failure_text(error);
    }
    return show(future.result());
}

Coro<int> worker(World& world, int who, int depth);
void poke(World& world, std::string who, int depth);
Coro<> act(World& world, int who, int depth);

Task<int> add_task(World& world, int depth) {
    const int who = world.task_count();
    world.tasks.push_back({});  // until an eager start is over
    Task<int> made = create_task(worker(world, who, depth));
    world.task(who) = std::move(made);
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
        co_await sleep(std::chrono::milliseconds(world.random(3)));
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
        if (world.random(6) == 0) {
            throw Err("e" + std::to_string(who));
        }
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure != nullptr) {
        log(who, "hit by", failure_text(failure), now());
        co_await recover(world, who, failure);
    }
    log(who, "returns");
    co_return who;
}

void settle(World& world, int which) {
    Future<int>& future = world.future(which);
    const int how = world.random(4);
    log("  settle", which, how, future.done());
    if (future.done()) {
        future = fut();
    } else if (how == 0) {
        log("  cancelled", future.cancel());
    } else if (how == 1) {
        future.set_exception(Err("f" + std::to_string(which)));
    } else {
        future.set_result(world.next_value());
    }
}

void add_callback(World& world, Future<int> future, int depth) {
    future.add_done_callback(
        [&world, depth, name = "cb" + std::to_string(world.next_value())](const Future<int>& settled) {
            if (world.is_closing) {
                return;
            }
            log(" ", name, state(settled));
            poke(world, name, depth);
        });
}

void schedule(World& world, int choice, int depth) {
    if (choice == 5) {
        const std::string name = "soon" + std::to_string(world.next_value());
        world.handles.push_back(loop().call_soon([&world, name, depth] { poke(world, name, depth); }));
        return;
    }
    const std::chrono::milliseconds delay(world.random(3));
    const std::string name = "later" + std::to_string(world.next_value());
    world.handles.push_back(loop().call_later(delay, [&world, name, depth] { poke(world, name, depth); }));
}

void look(World& world, int task) {
    log("  state", task, state(world.task(task)), world.task(task).cancelling());
    if (world.random(4) == 0) {
        log("  uncancel", task, world.task(task).uncancel());
    }
}

/// Something that does not wait; also done by callbacks.
void poke(World& world, std::string who, int depth) {
    if (!world.spend()) {
        return;
    }
    const int choice = world.random(kPokes);
    const int task = world.random_task();
    const int future = world.random_future();
    log(" ", who, "pokes", choice);
    if (!world.task(task)) {
        log("  starting", task);
    } else if (choice <= 1) {
        log("  cancel", task, world.task(task).cancel());
    } else if (choice <= 3) {
        settle(world, future);
    } else if (choice == 4) {
        if (world.task_count() < kTasksMax) {
            add_task(world, depth + 1);
        }
    } else if (choice <= 6) {
        schedule(world, choice, depth);
    } else if (choice == 7) {
        if (!world.handles.empty()) {
            const int handle = world.random(static_cast<int>(world.handles.size()));
            log("  drop", handle, world.handles[static_cast<std::size_t>(handle)].cancelled());
            world.handles[static_cast<std::size_t>(handle)].cancel();
        }
    } else if (choice == 8) {
        if (!world.gathers.empty()) {
            const int which = world.random(static_cast<int>(world.gathers.size()));
            log("  cancel gather", which, world.gathers[static_cast<std::size_t>(which)].future.cancel());
        }
    } else if (choice == 9) {
        look(world, task);
    } else if (choice == 10) {
        add_callback(world, world.random(2) == 0 ? world.task(task) : world.future(future), depth);
    } else {
        log("  tasks", all_tasks().size(), now());
    }
}

struct Picked {
    int lowest;
    std::vector<Future<int>> futures;
};

/// A task that cannot await this one, or a future.
std::pair<int, Future<int>> pick(World& world, int who) {
    const int later = world.task_count() - who - 1;
    const int which = world.random(later + static_cast<int>(world.futures.size()));
    if (which < later) {
        log("  takes task", who + 1 + which);
        return {who + 1 + which, world.task(who + 1 + which)};
    }
    log("  takes future", which - later);
    return {kTasksMax, world.future(which - later)};
}

Picked pick_some(World& world, int who, int depth) {
    const int count = 1 + world.random(3);
    Picked picked{kTasksMax, {}};
    for (int place = 0; place < count; ++place) {
        if (world.random(2) == 0 && world.task_count() < kTasksMax) {
            picked.lowest = std::min(picked.lowest, world.task_count());
            picked.futures.push_back(add_task(world, depth + 1));
        } else {
            auto [which, future] = pick(world, who);
            picked.lowest = std::min(picked.lowest, which);
            picked.futures.push_back(future);
        }
    }
    return picked;
}

Coro<> act_on_gather(World& world, int who) {
    if (world.gathers.empty()) {
        co_return;
    }
    const int which = world.random(static_cast<int>(world.gathers.size()));
    const StoredGather gathered = world.gathers[static_cast<std::size_t>(which)];
    log(who, "gather", which, state(gathered.future));
    if (gathered.lowest > who) {
        const std::string text = co_await outcome(gathered.future);
        log(who, "awaited", text);
    }
}

Coro<int> nested(World& world, int who, int depth) {
    co_await act(world, who, depth + 1);
    poke(world, std::to_string(who), depth);
    co_await act(world, who, depth + 1);
    co_return who;
}

Coro<> act_on_several(World& world, int who, int choice, int depth) {
    Picked picked = pick_some(world, who, depth);
    if (choice == 6) {
        const Values values = co_await gather(std::move(picked.futures));
        log(who, "gathered", values);
    } else if (choice == 7) {
        const auto results = co_await gather(return_exceptions, std::move(picked.futures));
        std::vector<std::string> texts;
        for (const Result<int>& result : results) {
            texts.push_back(result ? show(result.value()) : failure_text(result.error()));
        }
        log(who, "all", texts);
    } else {
        Future<Values> future = gather(std::move(picked.futures));
        world.gathers.push_back({picked.lowest, future});
        if (world.random(2) == 0) {
            const std::string text = co_await outcome(std::move(future));
            log(who, "gather", text);
        }
    }
}

Coro<> act_on_one(World& world, int who, int choice) {
    if (choice == 3) {
        Future<int> future = pick(world, who).second;
        const std::string text = co_await outcome(std::move(future));
        log(who, "got", text);
    } else if (choice == 4) {
        Future<int> future = pick(world, who).second;
        const int value = co_await std::move(future);
        log(who, "value", value);
    } else {
        const int which = world.random_future();
        log(who, "awaits future", which);
        const Future<int> future = world.future(which);
        const int value = co_await future;
        log(who, "future", value);
    }
}

Coro<> act(World& world, int who, int depth) {
    if (!world.spend() || depth > 4) {
        co_return;
    }
    const int choice = world.random(kActs);
    log(who, "act", choice, now());
    if (choice <= 1) {
        co_await sleep(0s);
        log(who, "turned");
    } else if (choice == 2) {
        co_await sleep(std::chrono::milliseconds(1 + world.random(3)));
        log(who, "slept", now());
    } else if (choice <= 5) {
        co_await act_on_one(world, who, choice);
    } else if (choice <= 8) {
        co_await act_on_several(world, who, choice, depth);
    } else if (choice == 9) {
        co_await act_on_gather(world, who);
    } else if (choice == 10) {
        const std::string text = co_await outcome(nested(world, who, depth));
        log(who, "inline", text);
    } else if (choice == 11) {
        co_await nested(world, who, depth);
    } else if (choice == 12 && world.task_count() < kTasksMax) {
        const int value = co_await add_task(world, depth + 1);
        log(who, "child", value);
    } else {
        poke(world, std::to_string(who), depth);
    }
}

Coro<> main_of(World& world, bool is_eager) {
    loop().set_eager_start(is_eager);
    for (int count = 0; count < 3; ++count) {
        world.futures.push_back(fut());
    }
    for (int count = 0; count < 3; ++count) {
        add_task(world, 0);
    }
    if (world.random(2) == 0) {
        co_await tick(5 + world.random(20));
    } else {
        co_await sleep(std::chrono::milliseconds(3 + world.random(6)));
    }
    const int ending = world.random(3);
    log("main ends", ending, now());
    world.is_closing = true;
    if (ending == 0) {
        std::vector<std::string> asked;
        for (Task<int>& task : world.tasks) {
            asked.push_back(show(task.cancel()));
        }
        log(asked);
        co_await outcome(gather(world.tasks));
    } else if (ending == 1) {
        for (Future<int>& future : world.futures) {
            future.cancel();
        }
        co_await tick(10);
        log(all_tasks().size());
    }
}

void run_seeds(bool is_eager) {
    const auto [first, last] = seeds();
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        log("seed", seed);
        World world(seed);
        run_one(main_of(world, is_eager));
        std::vector<std::string> states;
        for (const Task<int>& task : world.tasks) {
            states.push_back(state(task));
        }
        log(states);
        states.clear();
        for (const StoredGather& gathered : world.gathers) {
            states.push_back(state(gathered.future));
        }
        log(states);
    }
}

void core() { run_seeds(false); }
void eager() { run_seeds(true); }

const Family family("fuzz", {
    {"core", core}, {"eager", eager},
});

}  // namespace
}  // namespace knit::pairs
