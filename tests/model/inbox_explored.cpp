// The real inbox under the explorer: pushers, the owner, the end.

#include <array>
#include <cstdio>
#include <cstdlib>

#include "explored_test.hpp"
#include "knit/detail/inbox.hpp"

namespace knit::detail {

void assert_failed(const char* condition, const char* file, int line) noexcept {
    std::fprintf(stderr, "%s:%d: %s\n", file, line, condition);
    std::abort();
}

namespace {

struct Message : Work {
    Atomic<int> content{0};
    int seen = 0;
};

struct Scene {
    explicit Scene(model::Run& whose) : run(whose) {}

    void push(std::size_t index) {
        Message& message = messages[index];
        message.content.store(1, std::memory_order_relaxed);
        answers[index] = inbox.push(message);
        if (answers[index] == Inbox::Push::first && sleeps.load(std::memory_order_seq_cst) != 0) {
            bell.store(1, std::memory_order_relaxed);
            bell.notify_one();
        }
        if (answers[index] == Inbox::Push::closed) {
            run.expect(reason.load(std::memory_order_relaxed) == 1, "a pusher is told `closed` and does not see why");
        }
    }
    /// In the order of arrival for each pusher: the numbers of one grow.
    void read(Work* first) {
        for (Work* work = first; work != nullptr;) {
            Work* const next = work->next;
            auto& message = static_cast<Message&>(*work);
            run.expect(message.content.load(std::memory_order_relaxed) == 1, "a message was seen unwritten");
            run.expect(++message.seen == 1, "a message was seen twice");
            run.expect(&message != messages.data() || messages[1].seen == 0, "the second message came first");
            ++seen;
            work = next;
        }
    }

    model::Run& run;
    Inbox inbox;
    std::array<Message, 3> messages;  // the first two are of one pusher
    std::array<Inbox::Push, 3> answers{};
    Atomic<int> sleeps{0};
    Atomic<int> bell{0};
    Atomic<int> reason{0};
    int seen = 0;
};

/// What a loop does: takes what is there, and sleeps when it sees nothing.
void receive(Scene& scene, int count) {
    while (scene.seen < count) {
        scene.read(scene.inbox.take_all());
        if (scene.seen == count) {
            return;
        }
        scene.sleeps.exchange(1, std::memory_order_seq_cst);
        if (scene.inbox.empty()) {
            scene.bell.wait(0);
        }
        scene.sleeps.exchange(0, std::memory_order_seq_cst);
        scene.bell.exchange(0, std::memory_order_relaxed);
    }
}

TEST(InboxExplored, EachMessageIsSeenOnceAndNoWakeIsLost) {
    EXPECT_TRUE(model::holds({.preemptions = 3, .old_values = 2}, [](model::Run& run) {
        Scene scene(run);
        run.thread([&] {
            scene.push(0);
            scene.push(1);
        });
        run.thread([&] { receive(scene, 2); });
        run.begin();
        run.join();
        run.end();
    }));
}

TEST(InboxExplored, TwoPushersAndOneBell) {
    EXPECT_TRUE(model::holds({.preemptions = 2, .old_values = 1}, [](model::Run& run) {
        Scene scene(run);
        run.thread([&] { scene.push(1); });
        run.thread([&] { scene.push(2); });
        run.thread([&] { receive(scene, 2); });
        run.begin();
        run.join();
        run.end();
    }));
}

TEST(InboxExplored, WhatIsPushedAtTheEndIsTakenOrRefused) {
    EXPECT_TRUE(model::holds({.preemptions = 3, .old_values = 2}, [](model::Run& run) {
        Scene scene(run);
        run.thread([&] {
            scene.push(0);
            scene.push(1);
        });
        run.thread([&] {
            scene.read(scene.inbox.take_all());
            scene.reason.store(1, std::memory_order_relaxed);
            scene.read(scene.inbox.close());
            scene.read(scene.inbox.take_all());
            run.expect(scene.inbox.close() == nullptr, "closed twice it gives something");
        });
        run.begin();
        run.join();
        run.end();
        for (std::size_t index = 0; index < 2; ++index) {
            run.expect((scene.answers[index] == Inbox::Push::closed) != (scene.messages[index].seen == 1),
                       "a message is neither taken nor refused, or both");
        }
    }));
}

}  // namespace
}  // namespace knit::detail
