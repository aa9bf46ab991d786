// The inbox between its owner and many pushers. KNIT_STRESS_MS: how long each test runs. There is nothing random in it
// but the scheduling, so there is no seed.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "knit/detail/inbox.hpp"

namespace {

using knit::detail::Atomic;
using knit::detail::Inbox;
using knit::detail::Work;
using knit::detail::WorkList;

std::chrono::steady_clock::time_point end_of_test() {
    const char* const text = std::getenv("KNIT_STRESS_MS");
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(text != nullptr ? std::stoul(text) : 250);
}

struct Message : Work {
    std::size_t sender = 0;  // plain: the inbox orders them
    std::size_t number = 0;
};

constexpr std::size_t kSenders = 3;
constexpr std::size_t kMessages = 5'000;

struct Sender {
    std::vector<Message> messages = std::vector<Message>(kMessages);
    std::size_t first = 0;
    std::size_t refused = 0;

    void send_all(Inbox& inbox, std::size_t self) {
        for (std::size_t number = 0; number < kMessages; ++number) {
            messages[number].sender = self;
            messages[number].number = number;
            const Inbox::Push result = inbox.push(messages[number]);
            first += result == Inbox::Push::first;
            refused += result == Inbox::Push::closed;
        }
    }
};

/// Counts what comes out; each sender's messages must come in its order, without a gap.
struct Receiver {
    std::size_t received[kSenders] = {};
    std::size_t takings = 0;
    bool is_in_order = true;

    void receive(Work* chain) {
        takings += chain != nullptr;
        for (; chain != nullptr; chain = chain->next) {
            const auto& message = static_cast<const Message&>(*chain);
            is_in_order = is_in_order && message.number == received[message.sender];
            ++received[message.sender];
        }
    }
    std::size_t total() const {
        std::size_t sum = 0;
        for (const std::size_t part : received) {
            sum += part;
        }
        return sum;
    }
};

std::vector<std::thread> start(std::vector<Sender>& senders, Inbox& inbox) {
    std::vector<std::thread> threads;
    for (std::size_t self = 0; self < senders.size(); ++self) {
        threads.emplace_back([&sender = senders[self], &inbox, self] { sender.send_all(inbox, self); });
    }
    return threads;
}

void join(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) {
        thread.join();
    }
}

TEST(InboxStress, EveryMessageArrivesOnceInItsSendersOrderAndEachTakingHadOneFirstPusher) {
    const auto end = end_of_test();
    do {
        Inbox inbox;
        std::vector<Sender> senders(kSenders);
        Receiver receiver;
        auto threads = start(senders, inbox);
        while (receiver.total() < kSenders * kMessages) {
            receiver.receive(inbox.take_all());
        }
        join(threads);
        ASSERT_TRUE(receiver.is_in_order);
        ASSERT_TRUE(inbox.empty());
        std::size_t first = 0;
        for (const Sender& sender : senders) {
            first += sender.first;
            ASSERT_EQ(sender.refused, 0U);
        }
        ASSERT_EQ(first, receiver.takings);
    } while (std::chrono::steady_clock::now() < end);
}

TEST(InboxStress, CloseLosesNoMessageThatWasNotRefused) {
    const auto end = end_of_test();
    std::size_t share = 1;
    do {
        Inbox inbox;
        std::vector<Sender> senders(kSenders);
        Receiver receiver;
        auto threads = start(senders, inbox);
        while (receiver.total() < kSenders * kMessages * (share % 8) / 8) {
            WorkList taken;
            inbox.take(taken, share % 3 * 100 + 1);  // keeps what is more
            receiver.receive(taken.take_all());
        }
        receiver.receive(inbox.close());
        join(threads);
        ASSERT_TRUE(receiver.is_in_order);
        for (std::size_t self = 0; self < kSenders; ++self) {
            ASSERT_EQ(receiver.received[self] + senders[self].refused, kMessages);
        }
        ++share;
    } while (std::chrono::steady_clock::now() < end);
}

/// Two threads that start each round together, as nearly as can be.
class Meeting {
public:
    void wait_other() noexcept {
        const std::size_t mine = arrived_.fetch_add(1, std::memory_order_acq_rel);
        for (unsigned spins = 0; arrived_.load(std::memory_order_acquire) / 2 == mine / 2; ++spins) {
            spins % 256 == 255 ? std::this_thread::yield() : knit::detail::cpu_relax();
        }
    }

private:
    Atomic<std::size_t> arrived_{0};  // both count up; what was done before is seen by the other after
};

TEST(InboxStress, LoopThatGoesToSleepSeesTheMessageOrIsSeen) {
    const auto end = end_of_test();
    Inbox inbox;
    Atomic<unsigned> asleep{0};
    Atomic<bool> is_over{false};
    bool was_first = false;
    bool has_seen_sleeper = false;
    Work work;
    Meeting meeting;
    std::thread pusher([&] {
        for (;;) {
            meeting.wait_other();
            if (is_over.load(std::memory_order_relaxed)) {  // relaxed: the meeting orders it
                return;
            }
            was_first = inbox.push(work) == Inbox::Push::first;
            has_seen_sleeper = asleep.load(std::memory_order_seq_cst) != 0;
            meeting.wait_other();
        }
    });
    std::size_t missed = 0;
    while (std::chrono::steady_clock::now() < end) {
        asleep.store(0, std::memory_order_relaxed);  // relaxed: the meeting orders it
        meeting.wait_other();
        asleep.exchange(1, std::memory_order_seq_cst);
        const bool has_seen_message = !inbox.empty();
        meeting.wait_other();
        missed += !was_first || (!has_seen_sleeper && !has_seen_message);
        missed += inbox.take_all() != &work;
    }
    is_over.store(true, std::memory_order_relaxed);  // relaxed: the meeting orders it
    meeting.wait_other();
    pusher.join();
    EXPECT_EQ(missed, 0U);
}

}  // namespace
