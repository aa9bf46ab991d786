#include "fake_driver.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>

#include "knit/detail/worker.hpp"
#include "runtime_core.hpp"

namespace knit::testing {
namespace {

struct World {
    World() {
        if (const char* text = std::getenv("KNIT_TEST_SEED")) {
            seed = std::strtoull(text, nullptr, 10);
        }
    }
    std::uint64_t seed = 1;
    Duration elapsed{};
    std::uint64_t polls = 0;
    std::uint64_t jumps = 0;
};

World& world() {
    static World instance;
    return instance;
}

/// How long a deadlock may last in real time: a thread outside (to_thread, a test's own) may still bring a message.
constexpr std::chrono::seconds kPatience{20};

class FakeDriver final : public detail::Driver {
public:
    explicit FakeDriver(bool is_first) : is_first_(is_first), random_(world().seed) {}

    TimePoint now() noexcept override { return TimePoint(std::chrono::hours(1)) + world().elapsed; }
    void poll() noexcept override { world().polls += is_first_ ? 1 : 0; }
    void park(TimePoint) noexcept override {}
    void wake() noexcept override {}
    void close() noexcept override {}
    std::size_t in_flight() const noexcept override { return 0; }
    bool is_simulation() const noexcept override { return true; }

    void simulate(detail::RuntimeCore& runtime) override {
        detail::Worker& first = runtime.worker(0);
        first.start_turning();
        auto patience_end = std::chrono::steady_clock::now() + kPatience;
        std::size_t idle_in_a_row = 0;
        while (!first.is_stopping()) {
            detail::Worker& next = runtime.worker(random_() % runtime.size());
            next.make_current();
            if (next.step()) {
                idle_in_a_row = 0;
                patience_end = std::chrono::steady_clock::now() + kPatience;
            } else if (++idle_in_a_row > runtime.size() * 8 && all_idle(runtime) && !jump(runtime)) {
                if (std::chrono::steady_clock::now() > patience_end) {
                    std::fprintf(stderr, "deadlock: nothing can run and nothing is due, %llu tasks wait; seed %llu\n",
                                 static_cast<unsigned long long>(runtime.live_tasks()),
                                 static_cast<unsigned long long>(world().seed));
                    std::abort();
                }
                std::this_thread::yield();
            }
        }
        first.make_current();
    }

private:
    static bool all_idle(detail::RuntimeCore& runtime) {
        bool any = false;
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            runtime.worker(index).make_current();
            any = runtime.worker(index).step() || any;
        }
        return !any;
    }
    /// To the earliest deadline. False when there is none.
    bool jump(detail::RuntimeCore& runtime) {
        TimePoint earliest = detail::kNever;
        for (std::size_t index = 0; index < runtime.size(); ++index) {
            earliest = std::min(earliest, runtime.worker(index).next_deadline());
        }
        if (earliest == detail::kNever) {
            return false;
        }
        if (earliest > now()) {
            world().elapsed += earliest - now();
            ++world().jumps;
        }
        return true;
    }

    bool is_first_;
    std::mt19937_64 random_;
};

}  // namespace

void set_seed(std::uint64_t seed) noexcept { world().seed = seed; }
std::uint64_t seed() noexcept { return world().seed; }
Duration elapsed() noexcept { return world().elapsed; }
void pass_time(Duration time) noexcept { world().elapsed += time; }
std::uint64_t poll_count() noexcept { return world().polls; }
std::uint64_t jump_count() noexcept { return world().jumps; }

}  // namespace knit::testing

namespace knit::detail {

std::unique_ptr<Driver> make_driver(Worker& worker, const Settings&) {
    return std::make_unique<testing::FakeDriver>(worker.id() == 0);
}

}  // namespace knit::detail
