// Loops that park and are unparked, by messages, by offered work and by timers: tokens go from loop to loop, fewer than
// there are loops, so that half of them sleep or more. A wake that takes a second fails, and says who waits for what.
//
// KNIT_STRESS_MS: how long each test runs; PARK_ROUNDS: how many moves of tokens each makes instead (the long
// mode: 17,000,000, which are 100 million in all); KNIT_STRESS_SEED: a seed that was printed.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <knit/knit.hpp>

#include "stress.hpp"

namespace knit::stress {
namespace {

using namespace std::chrono_literals;

struct Mode {
    unsigned loops;
    Duration spin;
};

/// How often it has moved: its task writes, the watcher reads; publishes nothing.
struct alignas(64) Token {
    std::atomic<std::uint64_t> moves{0};
};

class Tokens {
public:
    explicit Tokens(unsigned count) : count_(count), tokens_(std::make_unique<Token[]>(count)) {
        if (const char* const text = std::getenv("PARK_ROUNDS")) {
            moves_most_ = std::stoull(text) / count;
            end_ = Clock::time_point::max();
        }
    }

    unsigned count() const { return count_; }
    Token& at(unsigned index) const { return tokens_[index]; }
    bool is_over(const Token& token) const {
        const std::uint64_t moves = token.moves.load(std::memory_order_relaxed);
        return moves >= moves_most_ || (moves % 16 == 0 && Clock::now() >= end_);
    }

private:
    const unsigned count_;
    const std::unique_ptr<Token[]> tokens_;
    std::uint64_t moves_most_ = UINT64_MAX;
    Clock::time_point end_ = end_of_test();
};

Coro<> set(std::atomic<bool>& flag) {
    flag.store(true, std::memory_order_release);
    co_return;
}

/// Blocks its loop until another one has come for what this one offers.
Coro<> offer_to_others() {
    std::atomic<bool> has_run{false};  ///< who runs the work writes, this loop reads: nothing but that it has run
    const Task<> offered = spawn(set(has_run));
    while (!has_run.load(std::memory_order_acquire)) {
        std::this_thread::yield();
    }
    co_await offered;
}

/// Mostly by message; now and then by work that whoever wakes may take, or by a timer.
Coro<> carry(const Tokens& tokens, Token& token, std::uint64_t seed) {
    Random random(seed);
    Runtime& runtime = get_runtime();
    while (!tokens.is_over(token)) {
        const unsigned way = random.below(16);
        if (way == 0) {
            co_await offer_to_others();
        } else if (way == 1) {
            co_await reschedule();
        } else if (way == 2) {
            co_await sleep(std::chrono::microseconds(random.below(50)));
        } else {
            co_await resume_on(runtime.loop(random.below(static_cast<unsigned>(runtime.size()))));
        }
        token.moves.fetch_add(1, std::memory_order_relaxed);
    }
    token.moves.store(UINT64_MAX / 2, std::memory_order_relaxed);
}

Coro<> carry_all(const Tokens& tokens, std::uint64_t seed, std::uint64_t& parks) {
    std::vector<Task<>> carriers;
    for (unsigned index = 0; index < tokens.count(); ++index) {
        carriers.push_back(create_task(carry(tokens, tokens.at(index), seed + index), on_loop(index)));
    }
    for (const Task<>& carrier : carriers) {
        co_await carrier;
    }
    for (const LoopMetrics& loop : get_runtime().metrics().loops) {
        parks += loop.parks;
    }
}

/// Ends the program when a token has stood still for a second, of which this thread had its part: a hundred looks.
class Watcher {
public:
    explicit Watcher(const Tokens& tokens) : tokens_(tokens), thread_([this] { watch(); }) {}
    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    ~Watcher() {
        is_over_.store(true, std::memory_order_relaxed);
        thread_.join();
    }

private:
    static constexpr unsigned kLooksMost = 100;

    void watch() const {
        std::vector<std::uint64_t> seen(tokens_.count());
        std::vector<unsigned> still(tokens_.count());
        while (!is_over_.load(std::memory_order_relaxed)) {
            std::this_thread::sleep_for(10ms);
            for (unsigned index = 0; index < tokens_.count(); ++index) {
                const std::uint64_t moves = tokens_.at(index).moves.load(std::memory_order_relaxed);
                const bool has_ended = moves >= UINT64_MAX / 2;
                still[index] = has_ended || moves != seen[index] ? 0 : still[index] + 1;
                seen[index] = moves;
                if (still[index] == kLooksMost) {
                    std::cerr << "token " << index << " stands still after " << moves << " moves\n";
                    dump_tasks(std::cerr);
                    std::abort();
                }
            }
        }
    }

    const Tokens& tokens_;
    std::atomic<bool> is_over_{false};  ///< the test writes, the watcher reads; publishes nothing
    std::thread thread_;
};

class ParkStress : public testing::TestWithParam<Mode> {};

TEST_P(ParkStress, NoWakeIsLostOrTakesASecond) {
    RunOptions options;
    options.loops = GetParam().loops;
    options.spin = GetParam().spin;
    const Tokens tokens(GetParam().loops / 2);
    const std::uint64_t seed = test_seed();
    std::uint64_t parks = 0;
    {
        const Watcher watcher(tokens);
        run(carry_all(tokens, seed, parks), options);
    }
    std::cout << parks << " parks\n";
    EXPECT_GT(parks, 0U);
}

INSTANTIATE_TEST_SUITE_P(Loops, ParkStress,
                         testing::Values(Mode{2, 0us}, Mode{4, 0us}, Mode{8, 0us}, Mode{2, 20us}, Mode{4, 20us},
                                         Mode{8, 20us}),
                         [](const testing::TestParamInfo<Mode>& mode) {
                             return "loops" + std::to_string(mode.param.loops) +
                                    (mode.param.spin > Duration::zero() ? "spinning" : "");
                         });

}  // namespace
}  // namespace knit::stress
