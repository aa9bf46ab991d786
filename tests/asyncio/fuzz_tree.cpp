// Random trees of what waits for others: gathers in deadlines in groups in shields ..., and cancellations from outside.

#include "program.hpp"

#include <array>
#include <utility>

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;
using Text = std::string;

constexpr int kKinds = 20;
constexpr int kLeaves = 5;

struct World {
    World(std::uint64_t seed, bool is_eager_) : random(seed), is_eager(is_eager_) {}

    Random random;
    bool is_eager;
    int nodes = 0;
    std::vector<Task<Text>> tasks;
    std::vector<Future<int>> futures;
    Lock lock;
};

Text failure_text(const std::exception_ptr& error) {
    const Text name = error_text(error);
    return name == "!CancelledError" ? name : error_text(error, true);
}
template <class A>
Coro<Text> outcome(A awaitable) {
    try {
        co_return co_await std::move(awaitable);
    } catch (...) {
        co_return failure_text(std::current_exception());
    }
}
Text result_text(const Result<Text>& result) { return result ? result.value() : failure_text(result.error()); }
Text join(const std::vector<Text>& texts, const char* between = "+") {
    Text all;
    for (const Text& text : texts) {
        all += (&text == &texts.front() ? "" : between) + text;
    }
    return all;
}
Text join(const std::vector<Result<Text>>& results) {
    std::vector<Text> texts;
    for (const Result<Text>& result : results) {
        texts.push_back(result_text(result));
    }
    return join(texts);
}

Coro<Text> node(World& world, Text name);

std::vector<Coro<Text>> children(World& world, const Text& name, int most = 3) {
    std::vector<Coro<Text>> made;
    const int count = 1 + world.random(most);
    for (int place = 0; place < count; ++place) {
        made.push_back(node(world, name + std::to_string(place)));
    }
    return made;
}
Task<Text> start(World& world, Coro<Text> coro, TaskGroup* group = nullptr) {
    world.tasks.push_back(group != nullptr ? group->create_task(std::move(coro)) : create_task(std::move(coro)));
    return world.tasks.back();
}
std::vector<Task<Text>> start_children(World& world, const Text& name, TaskGroup* group = nullptr, int most = 3) {
    std::vector<Task<Text>> tasks;
    for (Coro<Text>& child : children(world, name, most)) {
        tasks.push_back(start(world, std::move(child), group));
    }
    return tasks;
}

Coro<Text> sleeps(World& world, Text name) {
    co_await sleep(milliseconds(world.random(4)));
    co_return name;
}
Coro<Text> turns(World& world, Text name) {
    co_await tick(1 + world.random(3));
    co_return name;
}
Coro<Text> awaits_future(World& world, Text name) {
    const int which = world.random(static_cast<int>(world.futures.size()));
    const Future<int> future = world.futures[static_cast<std::size_t>(which)];
    const int value = co_await future;
    co_return name + show(value);
}
Coro<Text> fails(World& world, Text name) {
    co_await sleep(milliseconds(world.random(2)));
    throw Err(name);
}
Coro<Text> returns(World&, Text name) { co_return name; }

Coro<Text> gathers(World& world, Text name) { co_return join(co_await gather(children(world, name))); }
Coro<Text> gathers_errors(World& world, Text name) {
    co_return join(co_await gather(return_exceptions, children(world, name)));
}
Coro<Text> waits_for(World& world, Text name) {
    const milliseconds limit(world.random(5));
    co_return co_await wait_for(node(world, name + "w"), limit);
}
Coro<Text> shields(World& world, Text name) { co_return co_await shield(node(world, name + "s")); }
Coro<Text> limits(World& world, Text name) {
    const auto body = [&](Timeout&) -> Coro<Text> {
        const Text first = co_await node(world, name + "a");
        const Text second = co_await node(world, name + "b");
        co_return first + second;
    };
    try {
        co_return co_await timeout_scope(milliseconds(world.random(5)), body);
    } catch (const TimeoutError&) {
        co_return name + "late";
    }
}
Coro<Text> groups(World& world, Text name) {
    std::vector<Task<Text>> tasks;
    const auto body = [&](TaskGroup& group) -> Coro<Text> {
        tasks = start_children(world, name, &group);
        co_return co_await node(world, name + "g");
    };
    Text value = co_await TaskGroup::run(body);
    for (const Task<Text>& task : tasks) {
        value += task.cancelled() ? "" : task.result();
    }
    co_return value;
}
Coro<Text> catches(World& world, Text name) { co_return co_await outcome(node(world, name + "c")); }
Coro<Text> awaits_task(World& world, Text name) { co_return co_await start(world, node(world, name + "t")); }
Coro<Text> cleans(World& world, Text name) {
    const auto cleanup = [&]() -> Coro<> {
        co_await sleep(milliseconds(world.random(2)));
        log(name, "cleaned");
    };
    co_return co_await finally(node(world, name + "f"), cleanup);
}

Coro<Text> waits_some(World& world, Text name) {
    const std::vector<Task<Text>> tasks = start_children(world, name);
    constexpr std::array kHow{FIRST_COMPLETED, FIRST_EXCEPTION, ALL_COMPLETED};
    constexpr std::array kLimits{0ms, 1ms, 3ms};
    WaitOptions options;
    options.return_when = kHow[static_cast<std::size_t>(world.random(3))];
    const milliseconds limit = kLimits[static_cast<std::size_t>(world.random(3))];
    if (limit != 0ms) {
        options.timeout = limit;
    }
    auto result = co_await wait(tasks, options);
    std::vector<Text> done;
    for (const Task<Text>& task : tasks) {
        bool is_pending = false;
        for (const Task<Text>& pending : result.pending) {
            is_pending = is_pending || pending == task;
        }
        done.push_back(show(!is_pending));
    }
    log(name, done);
    for (Task<Text>& task : result.pending) {
        task.cancel();
    }
    co_return join(co_await gather(return_exceptions, tasks));
}

Coro<Text> completes(World& world, Text name) {
    const std::vector<Task<Text>> tasks = start_children(world, name);
    AsCompletedOptions options;
    if (world.random(2) != 0) {
        options.timeout = 2ms;
    }
    auto it = as_completed(tasks, options);
    std::vector<Text> values;
    while (auto next = it.next()) {
        values.push_back(co_await outcome(std::move(*next)));
    }
    co_return join(values);
}

Coro<Text> locks(World& world, Text name) {
    const auto guard = co_await world.lock.scoped();
    co_return co_await node(world, name + "l");
}
Coro<Text> swallows(World& world, Text name) {
    try {
        co_return co_await node(world, name + "x");
    } catch (const CancelledError&) {
        log(name, "swallows", me().uncancel());
    }
    co_return name;
}
Coro<Text> limited_group(World& world, Text name) {
    const auto body = [&](TaskGroup& group) -> Coro<Text> {
        start_children(world, name, &group, 2);
        co_return name;
    };
    const milliseconds limit(1 + world.random(3));
    co_return co_await wait_for(TaskGroup::run(body), limit);
}
Coro<Text> limited_shield(World& world, Text name) {
    const Task<Text> inner = start(world, node(world, name + "z"));
    const milliseconds limit(world.random(3));
    co_return co_await outcome(wait_for(shield(inner), limit));
}

using Kind = Coro<Text> (*)(World&, Text);
constexpr std::array<Kind, kKinds> kAll{sleeps,     turns,          awaits_future, fails,    returns,
                                        gathers,    gathers_errors, waits_for,     shields,  limits,
                                        groups,     catches,        awaits_task,   cleans,   waits_some,
                                        completes,  locks,          swallows,      limited_group, limited_shield};

/// One node and what is below it.
Coro<Text> node(World& world, Text name) {
    ++world.nodes;
    const bool may_branch = name.size() < 5 && world.nodes < 60;
    int kind = may_branch ? world.random(kKinds) : world.random(kLeaves);
    if (world.is_eager && kind == 15) {
        kind = 5;  // as_completed() of tasks that are done takes them in no order
    }
    log(name, kind, now());
    Text value;
    try {
        value = co_await kAll[static_cast<std::size_t>(kind)](world, name);
    } catch (...) {
        log(name, "ends by", failure_text(std::current_exception()), me().cancelling(), now());
        throw;
    }
    log(name, "gives", value, now());
    co_return value;
}

/// Something from outside: a task is cancelled or a future is settled.
void disturb(World& world) {
    const int which = world.random(static_cast<int>(world.tasks.size()));
    if (world.random(2) != 0) {
        log("disturb", which, world.tasks[static_cast<std::size_t>(which)].cancel());
        return;
    }
    Future<int>& future = world.futures[static_cast<std::size_t>(which % 3)];
    log("settle", which % 3, future.done());
    if (!future.done()) {
        future.set_result(which);
    }
}

Coro<> main_of(World& world) {
    loop().set_eager_start(world.is_eager);
    for (int count = 0; count < 3; ++count) {
        world.futures.push_back(fut());
    }
    std::vector<Task<Text>> roots;
    for (const char* name : {"P", "Q", "R"}) {
        roots.push_back(start(world, node(world, name)));
    }
    for (int count = 0; count < 5; ++count) {
        loop().call_later(milliseconds(world.random(6)), [&world] { disturb(world); });
    }
    co_await sleep(4ms);
    co_await tick(world.random(3));
    if (world.random(3) == 0) {
        log("main leaves", now());
        co_return;
    }
    for (Future<int>& future : world.futures) {
        if (!future.done()) {
            future.set_result(9);
        }
    }
    WaitOptions options;
    options.timeout = 20ms;
    const auto result = co_await wait(roots, options);
    log(result.done.size(), result.pending.size(), now());  // a tree may wait for itself at the lock
}

void run_seeds(bool is_eager) {
    const auto [first, last] = seeds();
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        log("seed", seed);
        World world(seed, is_eager);
        run_one(main_of(world));
        std::vector<Text> texts;
        for (const Task<Text>& task : world.tasks) {
            texts.push_back(task.cancelled()              ? "cancelled"
                            : task.exception() != nullptr ? failure_text(task.exception())
                                                          : task.result());
        }
        log(texts);
    }
}

void trees() { run_seeds(false); }
void eager_trees() { run_seeds(true); }

const Family family("fuzz_tree", {
    {"trees", trees}, {"eager_trees", eager_trees},
});

}  // namespace
}  // namespace knit::pairs
