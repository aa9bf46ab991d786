// The deque between an owner and thieves, in each of its modes and switching all the time. KNIT_STRESS_MS: how long
// each test runs; KNIT_STRESS_SEED: the seed that a failing run has printed.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "knit/detail/deque.hpp"
#include "platform.hpp"

namespace {

using knit::detail::Atomic;
using knit::detail::Deque;
using knit::detail::Work;

unsigned long number_from(const char* name, unsigned long otherwise) {
    const char* const text = std::getenv(name);
    return text != nullptr ? std::stoul(text) : otherwise;
}

enum class Mode { fenced, unfenced, switching };

struct Item : Work {
    std::size_t payload = 0;    // written by the owner before the push, read by whoever takes it: the deque orders it
    Atomic<unsigned> taken{0};  // how often; relaxed, a count that is read after the threads have been joined
};

class StealStress : public testing::TestWithParam<Mode> {
protected:
    static constexpr std::size_t kItems = 20'000;
    static constexpr std::size_t kThieves = 3;

    void SetUp() override {
        if (GetParam() != Mode::fenced && !knit::detail::asymmetric_fences()) {
            GTEST_SKIP() << "no membarrier here";
        }
        std::cout << "KNIT_STRESS_SEED=" << seed_ << '\n';
    }

    static void note_taken(Work* work, std::size_t* sum) {
        auto& item = static_cast<Item&>(*work);
        item.taken.fetch_add(1, std::memory_order_relaxed);  // relaxed: see Item
        *sum += item.payload;
    }

    void steal_until(const Atomic<bool>& is_over, Deque& deque, std::size_t* sum) {
        std::size_t own_sum = 0;
        for (bool was_over = false; !was_over;) {
            was_over = is_over.load(std::memory_order_acquire);  // set by the owner when the deque is empty for good
            while (Work* const work = deque.steal()) {
                note_taken(work, &own_sum);
            }
        }
        *sum = own_sum;
    }

    void maybe_switch(Deque& deque) {
        if (GetParam() == Mode::switching && random_() % 4 == 0) {
            if (deque.is_unfenced()) {
                random_() % 2 == 0 ? deque.end_unfenced() : deque.quiesce();
            } else {
                deque.begin_unfenced();
            }
        }
    }

    // Mostly short bursts, so that owner and thieves meet at the last items; now and then one that makes the deque
    // grow.
    void own(Deque& deque, std::vector<Item>& items, std::size_t* sum) {
        for (std::size_t pushed = 0; pushed < items.size();) {
            const std::size_t burst = random_() % 512 == 0 ? 700 : 1 + random_() % 4;
            for (std::size_t end = std::min(pushed + burst, items.size()); pushed < end; ++pushed) {
                items[pushed].payload = pushed + 1;
                deque.push(items[pushed]);
                maybe_switch(deque);
            }
            for (std::size_t pops = random_() % 6; pops > 0; --pops) {
                Work* const work = random_() % 8 == 0 ? deque.take_oldest() : deque.pop();
                if (work != nullptr) {
                    note_taken(work, sum);
                }
                maybe_switch(deque);
            }
        }
        while (Work* const work = deque.pop()) {
            note_taken(work, sum);
        }
    }

    const unsigned long seed_ = number_from("KNIT_STRESS_SEED", std::random_device{}());
    std::mt19937 random_{static_cast<std::mt19937::result_type>(seed_)};
};

TEST_P(StealStress, EveryItemIsTakenOnceWithItsContent) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(number_from("KNIT_STRESS_MS", 250));
    do {
        std::vector<Item> items(kItems);
        Deque deque(GetParam() != Mode::fenced);
        Atomic<bool> is_over{false};
        std::size_t sums[kThieves + 1] = {};
        std::vector<std::thread> thieves;
        for (std::size_t index = 0; index < kThieves; ++index) {
            thieves.emplace_back([&, index] { steal_until(is_over, deque, &sums[index]); });
        }
        if (GetParam() == Mode::unfenced) {
            deque.begin_unfenced();
        }
        own(deque, items, &sums[kThieves]);
        is_over.store(true, std::memory_order_release);  // read by the thieves, which look once more after it
        for (std::thread& thief : thieves) {
            thief.join();
        }
        for (const Item& item : items) {
            ASSERT_EQ(item.taken.load(std::memory_order_relaxed), 1U) << "item " << &item - items.data();
        }
        std::size_t sum = 0;
        for (const std::size_t part : sums) {
            sum += part;
        }
        ASSERT_EQ(sum, kItems * (kItems + 1) / 2);
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

TEST_P(StealStress, LoopThatGoesToSleepSeesTheWorkOrIsSeen) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(number_from("KNIT_STRESS_MS", 250));
    Deque deque(GetParam() != Mode::fenced);
    Atomic<unsigned> sleeping{0};
    Atomic<bool> is_over{false};
    bool has_seen_work = false;
    Meeting meeting;
    std::thread sleeper([&] {
        for (;;) {
            meeting.wait_other();
            if (is_over.load(std::memory_order_relaxed)) {  // relaxed: the meeting orders it
                return;
            }
            sleeping.exchange(1, std::memory_order_seq_cst);
            knit::detail::full_fence();
            if (deque.is_unfenced()) {
                knit::detail::heavy_fence();
            }
            has_seen_work = deque.size_hint() != 0;
            meeting.wait_other();
        }
    });
    if (GetParam() == Mode::unfenced) {
        deque.begin_unfenced();
    }
    std::size_t missed = 0;
    Work work;
    while (std::chrono::steady_clock::now() < end) {
        sleeping.store(0, std::memory_order_relaxed);  // relaxed: the meeting orders it
        meeting.wait_other();
        maybe_switch(deque);
        deque.push(work);
        const bool has_seen_sleeper =
            sleeping.load(std::memory_order_relaxed) != 0;  // relaxed: the push's fence orders it
        meeting.wait_other();
        missed += !has_seen_sleeper && !has_seen_work;
        if (deque.pop() == nullptr) {
            ++missed;
        }
    }
    is_over.store(true, std::memory_order_relaxed);  // relaxed: the meeting orders it
    meeting.wait_other();
    sleeper.join();
    EXPECT_EQ(missed, 0U);
}

std::string name_of(const testing::TestParamInfo<Mode>& test) {
    return test.param == Mode::fenced ? "Fenced" : test.param == Mode::unfenced ? "Unfenced" : "Switching";
}

INSTANTIATE_TEST_SUITE_P(Deque, StealStress, testing::Values(Mode::fenced, Mode::unfenced, Mode::switching), name_of);

}  // namespace
