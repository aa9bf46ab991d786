// LifoQueue and PriorityQueue, and what is asked of the items.

#include "co_test.hpp"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace knit::test {
namespace {

const std::string kEmpty = "!exception(QueueEmpty)";
const std::string kFull = "!exception(QueueFull)";

// LIFO-01
CO_TEST(LifoQueue, GivesTheNewestFirst) {
    LifoQueue<int> queue;
    for (const int item : {1, 3, 2}) {
        co_await queue.put(item);
    }
    EXPECT_EQ(co_await queue.get(), 2);
    queue.put_nowait(7);
    EXPECT_EQ(co_await queue.get(), 7);
    EXPECT_EQ(co_await queue.get(), 3);
    EXPECT_EQ(co_await queue.get(), 1);
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kEmpty);
}

// LIFO-02
CO_TEST(LifoQueue, HasTheBoundsAndTheJoinOfAQueue) {
    Trace log;
    LifoQueue<int> queue(1);
    queue.put_nowait(1);
    log(call_message([&] { queue.put_nowait(2); }));
    const Task<> joiner = create_task(queue.join());
    log(co_await queue.get());
    queue.task_done();
    co_await joiner;
    log("joined");
    EXPECT_TRUE(log.shows({kFull, "1", "joined"}));
}

CO_TEST(LifoQueue, AWokenGetterTakesWhatIsNewestWhenItRuns) {
    LifoQueue<int> queue;
    const Task<int> getter = create_task(queue.get());
    co_await tick();
    queue.put_nowait(1);
    queue.put_nowait(2);
    EXPECT_EQ(co_await getter, 2);
    EXPECT_EQ(queue.get_nowait(), 1);
}

CO_TEST(LifoQueue, AFullOneLetsItsPuttersWait) {
    LifoQueue<int> queue(1);
    queue.put_nowait(1);
    const Task<> putter = create_task(queue.put(2));
    co_await tick();
    EXPECT_FALSE(putter.done());
    EXPECT_EQ(queue.get_nowait(), 1);
    co_await putter;
    EXPECT_EQ(queue.get_nowait(), 2);
}

// PRIORITY-01
CO_TEST(PriorityQueue, GivesTheSmallestFirst) {
    PriorityQueue<int> queue;
    for (const int item : {3, 1, 2}) {
        co_await queue.put(item);
    }
    for (int item = 1; item <= 3; ++item) {
        EXPECT_EQ(co_await queue.get(), item);
    }
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kEmpty);
}

struct Numbered {
    int key;
    int number;
    friend bool operator<(const Numbered& left, const Numbered& right) { return left.key < right.key; }
};

// The order of equal ones is that of CPython's PriorityQueue, which gave this trace.
TEST(PriorityQueue, GivesEqualItemsInTheOrderOfHeapq) {
    unsigned state = 12345;
    const auto random = [&](unsigned below) {
        state = (state * 1103515245U + 12345U) & 0x7fffffffU;
        return (state >> 16) % below;
    };
    PriorityQueue<Numbered> queue;
    std::vector<int> out;
    int made = 0;
    for (int step = 0; step < 60; ++step) {
        if (random(3) != 0 || queue.empty()) {
            queue.put_nowait({static_cast<int>(random(3)), made++});
        } else {
            out.push_back(queue.get_nowait().number);
        }
    }
    while (!queue.empty()) {
        out.push_back(queue.get_nowait().number);
    }
    const std::vector<int> expected = {1,  6,  4,  8,  5,  15, 2,  18, 16, 25, 26, 19, 23, 29, 38,
                                       0,  11, 27, 41, 35, 12, 34, 20, 7,  28, 9,  32, 14, 42, 10,
                                       13, 22, 24, 21, 17, 33, 40, 31, 30, 3,  37, 36, 39};
    EXPECT_EQ(out, expected);
}

CO_TEST(PriorityQueue, AWokenGetterTakesWhatIsSmallestWhenItRuns) {
    PriorityQueue<int> queue(3);
    const Task<int> getter = create_task(queue.get());
    co_await tick();
    queue.put_nowait(5);
    EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kEmpty);
    queue.put_nowait(2);
    EXPECT_EQ(co_await getter, 2);
    EXPECT_EQ(queue.get_nowait(), 5);
}

CO_TEST(PriorityQueue, WaitsAndJoinsAsAQueueDoes) {
    PriorityQueue<int> queue(2);
    std::vector<Task<>> putters;
    for (const int item : {5, 3, 4, 1}) {
        putters.push_back(create_task(queue.put(item)));
    }
    co_await tick();
    EXPECT_TRUE(queue.full());
    std::vector<int> items;
    for (int i = 0; i < 4; ++i) {
        items.push_back(co_await queue.get());
        queue.task_done();
        co_await tick();
    }
    EXPECT_EQ(items, (std::vector<int>{3, 4, 1, 5}));
    co_await queue.join();
    co_await gather(putters);
}

CO_TEST(PriorityQueue, TakesAnOrderOfTheUsers) {
    PriorityQueue<std::string, std::greater<>> greatest;
    for (const char* item : {"b", "c", "a"}) {
        greatest.put_nowait(item);
    }
    EXPECT_EQ(co_await greatest.get(), "c");
    EXPECT_EQ(co_await greatest.get(), "b");
    const auto shorter = [](const std::string& left, const std::string& right) { return left.size() < right.size(); };
    PriorityQueue<std::string, decltype(shorter)> shortest(0, shorter);
    shortest.put_nowait("aaa");
    shortest.put_nowait("zz");
    EXPECT_EQ(co_await shortest.get(), "zz");
}

TEST(PriorityQueue, HoldsMoveOnlyItems) {
    const auto less = [](const auto& left, const auto& right) { return *left < *right; };
    PriorityQueue<std::unique_ptr<int>, decltype(less)> queue(0, less);
    for (const int item : {4, 2, 9, 1, 7}) {
        queue.put_nowait(std::make_unique<int>(item));
    }
    for (const int item : {1, 2, 4, 7, 9}) {
        EXPECT_EQ(*queue.get_nowait(), item);
    }
}

/// A key that refuses to be compared while `is_armed`.
struct Touchy {
    int key;
    bool* is_armed;
    friend bool operator<(const Touchy& left, const Touchy& right) {
        if (*left.is_armed) {
            throw Err("compared");
        }
        return left.key < right.key;
    }
};

CO_TEST(PriorityQueue, AnErrorOfTheComparisonLeavesItAsItWas) {
    bool is_armed = false;
    PriorityQueue<Touchy> queue(4);
    for (const int key : {3, 1, 2}) {
        queue.put_nowait({key, &is_armed});
    }
    is_armed = true;
    EXPECT_EQ(call([&] { queue.put_nowait({0, &is_armed}); }), "!Err");
    EXPECT_EQ(call([&] { queue.get_nowait(); }), "!Err");
    EXPECT_EQ(co_await got(queue.get()), "!Err");
    EXPECT_EQ(co_await got(queue.put({0, &is_armed})), "!Err");
    is_armed = false;
    EXPECT_EQ(queue.qsize(), 3U);
    for (int key = 1; key <= 3; ++key) {
        EXPECT_EQ(queue.get_nowait().key, key);
    }
    queue.task_done();
    queue.task_done();
    queue.task_done();
    EXPECT_THROW(queue.task_done(), ValueError);
}

CO_TEST(PriorityQueue, AWokenWaiterWithAnErrorOfTheComparisonPassesItsTurnOn) {
    bool is_armed = false;
    PriorityQueue<Touchy> queue(3);
    std::vector<Task<Touchy>> getters;
    for (int i = 0; i < 2; ++i) {
        getters.push_back(create_task(queue.get()));
    }
    co_await tick();
    for (const int key : {3, 1, 2}) {
        queue.put_nowait({key, &is_armed});
    }
    is_armed = true;
    EXPECT_EQ(co_await got(getters[0]), "!Err");
    EXPECT_EQ(co_await got(getters[1]), "!Err");
    is_armed = false;
    bool is_poison = true;
    std::vector<Task<>> putters;
    putters.push_back(create_task(queue.put({0, &is_poison})));
    putters.push_back(create_task(queue.put({4, &is_armed})));
    co_await tick();
    EXPECT_EQ(queue.get_nowait().key, 1);
    EXPECT_EQ(co_await got(putters[0]), "!Err");
    co_await putters[1];
    for (const int key : {2, 3, 4}) {
        EXPECT_EQ(queue.get_nowait().key, key);
    }
}

// Items.

struct CopyOnly {
    CopyOnly(int number, std::vector<int>& dead) : value(number), log(&dead) {}
    CopyOnly(const CopyOnly&) = default;
    CopyOnly& operator=(const CopyOnly&) = default;
    ~CopyOnly() { log->push_back(value); }
    int value;
    std::vector<int>* log;
};
struct MovesOnly {
    MovesOnly(MovesOnly&&) noexcept = default;
};
struct MayThrow {
    MayThrow(MayThrow&&) noexcept(false) {}
};
struct Aggregate {
    std::string text;
    std::unique_ptr<int> number;
};
static_assert(detail::kItemInPlace<int> && detail::kItemInPlace<std::string> && detail::kItemInPlace<MovesOnly>);
static_assert(detail::kItemInPlace<Aggregate> && detail::kItemInPlace<std::pair<int, std::string>>);
static_assert(detail::kItemInPlace<std::shared_ptr<int>> && detail::kItemInPlace<std::function<void()>>);
static_assert(detail::kItemInPlace<Coro<>> && detail::kItemInPlace<Task<int>>);
static_assert(!detail::kItemInPlace<CopyOnly> && !detail::kItemInPlace<MayThrow>);

CO_TEST(QueueItems, MayBeMoveOnly) {
    Queue<std::unique_ptr<int>> queue(1);
    const Task<> putter = create_task([](Queue<std::unique_ptr<int>>& to) -> Coro<> {
        for (int item = 0; item < 10; ++item) {
            co_await to.put(std::make_unique<int>(item));
        }
    }(queue));
    for (int item = 0; item < 10; ++item) {
        const std::unique_ptr<int> got_item = co_await queue.get();
        EXPECT_EQ(*got_item, item);
    }
    co_await putter;
}

CO_TEST(QueueItems, MayBeCoroutines) {
    Queue<Coro<int>> jobs;
    const auto job = [](int value) -> Coro<int> { co_return value; };
    jobs.put_nowait(job(1));
    co_await jobs.put(job(2));
    const int first = co_await co_await jobs.get();
    const int second = co_await co_await jobs.get();
    EXPECT_EQ(first, 1);
    EXPECT_EQ(second, 2);
}

/// Throws at its move number `*moves_left`.
class ThrowsWhenMoved {
public:
    ThrowsWhenMoved(int number, int& moves_left) : value(number), moves_left_(&moves_left) {}
    ThrowsWhenMoved(ThrowsWhenMoved&& other) : value(other.value), moves_left_(other.moves_left_) {
        if (--*moves_left_ == 0) {
            throw Err("moved");
        }
    }
    const int value;

private:
    int* moves_left_;
};

CO_TEST(QueueItems, WhoseMoveThrowsAreEitherPutOrNot) {
    // However often it is moved on its way in: an error means that it is not there.
    for (int throw_at = 1; throw_at < 10; ++throw_at) {
        Queue<ThrowsWhenMoved> queue(2);
        int moves_left = 1000;
        co_await queue.put(ThrowsWhenMoved(1, moves_left));
        moves_left = throw_at;
        std::string outcome = "put";
        try {
            co_await queue.put(ThrowsWhenMoved(2, moves_left));
        } catch (const Err&) {
            outcome = "not put";
        }
        moves_left = 1000;
        EXPECT_EQ(queue.qsize(), outcome == "put" ? 2U : 1U);
        const ThrowsWhenMoved first = co_await queue.get();
        EXPECT_EQ(first.value, 1);
        if (outcome == "put") {
            EXPECT_EQ(queue.get_nowait().value, 2);
        }
        EXPECT_EQ(call_message([&] { queue.get_nowait(); }), kEmpty);
    }
}

TEST(QueueItems, ThatCanOnlyBeCopiedDieAsOftenAsTheyWereMade) {
    std::vector<int> dead;
    {
        Queue<CopyOnly> queue;
        for (int item = 0; item < 40; ++item) {
            queue.put_nowait(CopyOnly(item, dead));
        }
        for (int item = 0; item < 20; ++item) {
            EXPECT_EQ(queue.get_nowait().value, item);
        }
        dead.clear();
    }
    EXPECT_EQ(dead.size(), 20U);
}

/// On its death puts its number into another queue, or the same.
struct LastWords {
    LastWords(int number, Queue<LastWords>& queue) : value(number), to(&queue) {}
    LastWords(const LastWords& other) = default;
    LastWords& operator=(const LastWords&) = default;
    ~LastWords() { sizes += to->qsize() + (to->full() ? 100 : 0); }
    int value;
    Queue<LastWords>* to;
    static inline std::size_t sizes = 0;
};

CO_TEST(QueueItems, ThatCanOnlyBeCopiedMayUseTheQueueInTheirDestructor) {
    Queue<LastWords> queue(2);
    LastWords::sizes = 0;
    co_await queue.put(LastWords(1, queue));
    co_await queue.put(LastWords(2, queue));
    const int first = (co_await queue.get()).value;
    EXPECT_EQ(first, 1);
    EXPECT_EQ(queue.get_nowait().value, 2);
    EXPECT_GT(LastWords::sizes, 100U);
}

}  // namespace
}  // namespace knit::test
