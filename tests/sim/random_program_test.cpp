// Random programs whose result does not depend on the schedule, against the same program evaluated in sequence: every
// way to run a child, on loops that a seed picks, with failures. What must hold besides the result: every await goes on
// exactly once, nothing runs that has been destroyed, all frames go, tasks made = tasks ended.

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <vector>

#include "knit/core.hpp"
#include "knit/testing.hpp"
#include "sim_seeds.hpp"

namespace knit::test {
namespace {

enum class Kind {
    value, sleep, turn, move, offer, locked, fails, call, task, spawned, both, forked, group, many, shielded, timed,
    event, kinds
};

/// One coroutine of a program.
struct Node {
    Kind kind = Kind::value;
    std::uint64_t value = 0;
    std::vector<Node> children;
};

constexpr std::uint64_t kFailed = 7;

struct Failure : std::runtime_error {
    Failure() : std::runtime_error("as planned") {}
};

std::uint64_t combine(std::uint64_t sum, std::uint64_t value) { return sum * 31 + value; }

class Maker {
public:
    explicit Maker(std::uint64_t seed) : random_(seed) {}

    Node make(int depth) {
        Node node;
        node.value = random_() % 1000;
        node.kind = static_cast<Kind>(random_() % static_cast<unsigned>(Kind::kinds));
        std::size_t children = 0;
        if (node.kind == Kind::many || node.kind == Kind::group) {
            children = 1 + random_() % 4;
        } else if (node.kind == Kind::both || node.kind == Kind::forked) {
            children = 2;
        } else if (node.kind >= Kind::call || node.kind == Kind::locked) {
            children = 1;
        }
        if (depth == 0 && children > 0) {
            node.kind = Kind::value;
            children = 0;
        }
        for (; children > 0; --children) {
            node.children.push_back(make(depth - 1));
        }
        return node;
    }

private:
    std::mt19937_64 random_;
};

/// What a node gives; nothing: it fails.
std::optional<std::uint64_t> evaluate(const Node& node) {
    std::uint64_t sum = node.value;
    if (node.kind == Kind::fails) {
        return std::nullopt;
    }
    bool has_failed = false;
    for (const Node& child : node.children) {
        const std::optional<std::uint64_t> value = evaluate(child);
        has_failed = has_failed || !value;
        sum = combine(sum, value.value_or(0));
    }
    return has_failed ? combine(node.value, kFailed) : sum;
}

/// What the coroutines of one program share.
struct Scene {
    Lock lock;
    int holders = 0;
    int alive = 0;
    int wrong = 0;
};

/// In every frame: counts it, and its awaits.
class Watch {
public:
    explicit Watch(Scene& scene) : scene_(scene) { ++scene_.alive; }
    ~Watch() {
        --scene_.alive;
        mark_ = 0;
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    void waits() { is_waiting_ = check() && !is_waiting_; }
    void goes_on() {
        scene_.wrong += check() && is_waiting_ ? 0 : 1;
        is_waiting_ = false;
    }

private:
    bool check() {
        scene_.wrong += mark_ == kMark ? 0 : 1;
        return mark_ == kMark;
    }
    static constexpr std::uint64_t kMark = 0x6b6e6974;
    std::uint64_t mark_ = kMark;
    bool is_waiting_ = false;
    Scene& scene_;
};

Coro<std::uint64_t> perform(Scene& scene, const Node& node);

Coro<std::uint64_t> locked(Scene& scene, const Node& node) {
    auto guard = co_await scene.lock.scoped();
    scene.wrong += ++scene.holders == 1 ? 0 : 1;
    struct Out {
        Scene& scene;
        ~Out() { --scene.holders; }
    } const out{scene};
    co_await sleep(Duration(static_cast<Duration::rep>(node.value)));
    co_return node.value;
}

Coro<std::uint64_t> both(Scene& scene, const Node& node) {
    auto results = co_await gather(spawn(perform(scene, node.children[0])), perform(scene, node.children[1]));
    co_return combine(combine(node.value, std::get<0>(results)), std::get<1>(results));
}

Coro<std::uint64_t> forked(Scene& scene, const Node& node) {
    auto results = co_await fork_join(perform(scene, node.children[0]), perform(scene, node.children[1]));
    co_return combine(combine(node.value, std::get<0>(results)), std::get<1>(results));
}

Coro<std::uint64_t> many(Scene& scene, const Node& node) {
    std::vector<Task<std::uint64_t>> tasks;
    for (std::size_t index = 0; index < node.children.size(); ++index) {
        tasks.push_back(index % 2 == 0 ? spawn(perform(scene, node.children[index]))
                                       : create_task(perform(scene, node.children[index])));
    }
    const std::vector<std::uint64_t> results = co_await gather(std::move(tasks));
    std::uint64_t sum = node.value;
    for (const std::uint64_t value : results) {
        sum = combine(sum, value);
    }
    co_return sum;
}

Coro<std::uint64_t> group_body(Scene& scene, const Node& node, TaskGroup& group) {
    std::vector<Task<std::uint64_t>> tasks;
    for (const Node& child : node.children) {
        tasks.push_back(child.value % 2 == 0 ? group.spawn(perform(scene, child))
                                             : group.create_task(perform(scene, child)));
    }
    std::uint64_t sum = node.value;
    for (Task<std::uint64_t>& task : tasks) {
        const std::uint64_t value = co_await task;
        sum = combine(sum, value);
    }
    co_return sum;
}

Coro<std::uint64_t> group(Scene& scene, const Node& node) {
    auto body = [&scene, &node](TaskGroup& tasks) { return group_body(scene, node, tasks); };
    co_return co_await TaskGroup::run(std::move(body));
}

/// Outlives the coroutine that waits, which a failure elsewhere may end.
struct Outcome {
    Event event;
    std::uint64_t value = 0;
};

Coro<> put_in(Scene& scene, const Node& node, std::shared_ptr<Outcome> outcome) {
    outcome->value = co_await perform(scene, node);
    outcome->event.set();
}

Coro<> set_at_end(Task<> task, std::shared_ptr<Outcome> outcome) {
    const Result<void> result = co_await as_result(task);
    static_cast<void>(result);
    outcome->event.set();
}

Coro<std::uint64_t> through_event(Scene& scene, const Node& node) {
    const auto outcome = std::make_shared<Outcome>();
    Task<> task = spawn(put_in(scene, node.children[0], outcome));
    const Task<> watcher = create_task(set_at_end(task, outcome));
    co_await outcome->event.wait();
    co_await task;
    co_await watcher;
    co_return outcome->value;
}

/// The one child of a node, run in the node's way.
Coro<std::uint64_t> only_child(Scene& scene, const Node& node) {
    const Node& child = node.children[0];
    switch (node.kind) {
        case Kind::task: {
            Task<std::uint64_t> task = create_task(perform(scene, child));
            co_return co_await task;
        }
        case Kind::spawned: {
            Task<std::uint64_t> task = spawn(perform(scene, child));
            co_return co_await task;
        }
        case Kind::shielded: co_return co_await shield(perform(scene, child));
        case Kind::timed: co_return co_await with_timeout(std::chrono::hours(1), perform(scene, child));
        case Kind::event: co_return co_await through_event(scene, node);
        default: co_return co_await perform(scene, child);
    }
}

Coro<std::uint64_t> children(Scene& scene, const Node& node) {
    switch (node.kind) {
        case Kind::both: return both(scene, node);
        case Kind::forked: return forked(scene, node);
        case Kind::many: return many(scene, node);
        case Kind::group: return group(scene, node);
        default: return only_child(scene, node);
    }
}

Coro<std::uint64_t> perform(Scene& scene, const Node& node) {
    Watch watch(scene);
    Runtime& runtime = get_runtime();
    watch.waits();
    switch (node.kind) {
        case Kind::sleep: co_await sleep(std::chrono::microseconds(node.value)); break;
        case Kind::turn: co_await yield(); break;
        case Kind::move: co_await resume_on(runtime.loop(node.value % runtime.size())); break;
        case Kind::offer: co_await reschedule(); break;
        case Kind::locked: co_await locked(scene, node); break;
        default: break;
    }
    watch.goes_on();
    if (node.kind == Kind::fails) {
        throw Failure();
    }
    if (node.children.empty()) {
        co_return node.value;
    }
    watch.waits();
    const Result<std::uint64_t> result = co_await as_result(children(scene, node));
    watch.goes_on();
    if (!result.has_value()) {
        co_return combine(node.value, kFailed);
    }
    const bool is_alone = node.kind != Kind::both && node.kind != Kind::forked && node.kind != Kind::many &&
                          node.kind != Kind::group;
    co_return is_alone ? combine(node.value, result.value()) : result.value();
}

Coro<std::uint64_t> as_main(Scene& scene, const Node& node) {
    const Result<std::uint64_t> result = co_await as_result(perform(scene, node));
    co_return result.value_or(kFailed);
}

void run_program(std::uint64_t seed) {
    const Node program = Maker(seed).make(3 + static_cast<int>(seed % 4));
    Scene scene;
    testing::SimulationOptions options;
    options.loops = 1 + static_cast<unsigned>(seed % 4);
    options.steps_max = 200'000;
    const std::uint64_t result = testing::simulate(seed, options, as_main(scene, program));
    if (result != evaluate(program).value_or(kFailed)) {
        throw std::logic_error("the result is not that of the sequential program");
    }
    if (scene.wrong != 0 || scene.alive != 0 || scene.holders != 0 || scene.lock.locked()) {
        throw std::logic_error("a coroutine went on twice or after its end, or is left, or a lock had two holders");
    }
}

TEST(RandomProgram, GivesWhatTheSequentialOneGives) {
    EXPECT_NO_THROW(testing::for_each_seed(first_seed(), seed_count(1000), run_program));
}

}  // namespace
}  // namespace knit::test
