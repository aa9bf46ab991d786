// Random producers and consumers. One of each at a time at a queue: in knit nobody overtakes a woken one, in CPython a
// third may.

#include "program.hpp"

#include <array>

namespace knit::pairs {
namespace {

using std::chrono::milliseconds;

struct World {
    explicit World(std::uint64_t seed) : random(seed) {}

    Random random;
    Queue<int> endless;
    Queue<int> narrow{1};
    LifoQueue<int> lifo{2};
    PriorityQueue<int> priority{2};
    std::array<Queue<int>*, 4> queues{&endless, &narrow, &lifo, &priority};
    std::vector<Task<>> tasks;
    int items = 0;
    bool is_closing = false;
};

std::optional<Duration> limit_of(int choice, milliseconds longest) {
    return choice == 0 ? std::nullopt : std::optional<Duration>(choice == 1 ? 1ms : longest);
}

Coro<> pause(World& world) {
    const int choice = world.random(4);
    if (choice == 1) {
        co_await tick();
    } else if (choice > 1) {
        co_await sleep(milliseconds(choice - 1));
    }
}

Coro<> produces(World& world, std::size_t which) {
    Queue<int>& queue = *world.queues[which];
    const int count = 2 + world.random(5);
    for (int place = 0; place < count; ++place) {
        ++world.items;
        const int item = world.random(5) * 100 + world.items;
        const std::optional<Duration> limit = limit_of(world.random(3), 2ms);
        try {
            co_await wait_for(queue.put(item), limit);
            log("put", which, item, queue.qsize(), now());
        } catch (const TimeoutError&) {
            log("no room", which, item, queue.full(), now());
        }
        co_await pause(world);
    }
    log("producer ends", which);
}

Coro<> consumes(World& world, std::size_t which) {
    Queue<int>& queue = *world.queues[which];
    for (;;) {
        const std::optional<Duration> limit = limit_of(world.random(3), 3ms);
        try {
            const int item = co_await wait_for(queue.get(), limit);
            log("got", which, item, queue.qsize(), now());
            if (world.random(4) != 0) {
                co_await pause(world);
            }
            queue.task_done();
        } catch (const TimeoutError&) {
            log("nothing", which, queue.empty(), now());
        }
    }
}

Coro<> joins(World& world, std::size_t which) {
    log("joins", which);
    co_await world.queues[which]->join();
    log("joined", which, now());
}

struct Role {
    const char* name;
    Coro<> (*start)(World&, std::size_t);
};
constexpr std::array<Role, 3> kRoles{{{"produces", produces}, {"consumes", consumes}, {"joins", joins}}};

/// Starts the role again each time that it has ended.
Coro<> keeps(World& world, Role role, std::size_t which) {
    for (int round = 0; round < 3 && !world.is_closing; ++round) {
        const Task<> task = create_task(role.start(world, which));
        world.tasks.push_back(task);
        const std::string text = co_await got(task);
        log(role.name, which, text);
    }
}

void disturb(World& world) {
    const int which = world.random(static_cast<int>(world.tasks.size()));
    log("cancel", which, world.tasks[static_cast<std::size_t>(which)].cancel());
}

Coro<> main_of(World& world) {
    std::vector<Task<>> keepers;
    for (std::size_t which = 0; which < 4; ++which) {
        for (const Role& role : kRoles) {
            keepers.push_back(create_task(keeps(world, role, which)));
        }
    }
    for (int count = 0; count < 8; ++count) {
        co_await sleep(milliseconds(world.random(3)));
        disturb(world);
    }
    co_await sleep(5ms);
    world.is_closing = true;
    std::vector<Task<>> all = world.tasks;
    all.insert(all.end(), keepers.begin(), keepers.end());
    for (Task<>& task : all) {
        task.cancel();
    }
    co_await gather(return_exceptions, keepers);
    std::vector<std::size_t> sizes;
    for (const Queue<int>* queue : world.queues) {
        sizes.push_back(queue->qsize());
    }
    log(sizes, now());
}

void producers_and_consumers() {
    const auto [first, last] = seeds();
    for (std::uint64_t seed = first; seed <= last; ++seed) {
        log("seed", seed);
        World world(seed);
        run_one(main_of(world));
    }
}

const Family family("fuzz_queue", {
    {"producers_and_consumers", producers_and_consumers},
});

}  // namespace
}  // namespace knit::pairs
