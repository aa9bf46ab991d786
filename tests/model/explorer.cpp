#include "explorer.hpp"

#include <csetjmp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "fiber.hpp"
#include "memory.hpp"

extern "C" void* __cxa_get_globals() noexcept;

namespace knit::detail::model {
namespace {

constexpr std::size_t kThreadsMax = Memory::kThreadsMax - 1;
constexpr std::size_t kMain = kThreadsMax;  // the scenario itself
constexpr std::size_t kStackBytes = 512 * 1024;
constexpr std::size_t kStepsMax = 50'000;

/// One decision of an execution.
struct Choice {
    unsigned taken;
    unsigned count;
};

class Explorer final : public Run, public Memory {
public:
    explicit Explorer(const Bounds& bounds) : bounds_(bounds) {}

    Result all(const std::function<void(Run&)>& scenario);

    void thread(std::function<void()> body) override;
    void join() override;
    void begin() noexcept override;
    void end() noexcept override { is_armed_ = false; }
    void wait_until(std::function<bool()> condition, bool may_rest) override;
    void let_others_rest() override;
    [[noreturn]] void fail(const std::string& text) override;

    std::size_t current() const noexcept { return current_; }
    bool is_armed() const noexcept { return is_armed_ && !is_asking_ && current_ != kMain; }
    void heavy();
    void before_step();
    void go_on_elsewhere(bool may_stay = false);

private:
    unsigned choose(unsigned count);
    bool next_execution();
    void execute(const std::function<void(Run&)>& scenario);
    void switch_to(std::size_t next);
    bool is_true(const std::function<bool()>& condition);
    bool can_run(std::size_t index);
    unsigned choose_age(unsigned count) override;
    void note(const char* what, std::size_t location, std::uint64_t bits, std::uint32_t age) override {
        steps_.push_back({current_, what, location, bits, age});
    }
    static void enter_fiber();

    const Bounds bounds_;
    Result result_;
    std::vector<Choice> choices_;
    std::size_t next_choice_ = 0;
    unsigned preemptions_left_ = 0;
    unsigned old_values_left_ = 0;
    bool is_armed_ = false;
    bool is_asking_ = false;  ///< whether somebody may go on: no step of the execution
    bool has_failed_ = false;
    std::size_t current_ = kMain;
    std::size_t threads_ = 0;
    std::array<Fiber, kThreadsMax + 1> fibers_;
    std::array<std::unique_ptr<char[]>, kThreadsMax> stacks_;
    std::jmp_buf root_;
    std::vector<Step> steps_;
};

Explorer* g_explorer = nullptr;

unsigned Explorer::choose(unsigned count) {
    if (next_choice_ == choices_.size()) {
        choices_.push_back({0, count});
    }
    const Choice& choice = choices_[next_choice_++];
    if (choice.count != count) {
        std::fprintf(stderr, "explorer: the scenario does not do the same each time\n");
        std::abort();
    }
    return choice.taken;
}

bool Explorer::next_execution() {
    while (!choices_.empty() && choices_.back().taken + 1 == choices_.back().count) {
        choices_.pop_back();
    }
    if (choices_.empty()) {
        return false;
    }
    ++choices_.back().taken;
    return true;
}

Result Explorer::all(const std::function<void(Run&)>& scenario) {
    g_explorer = this;
    do {
        execute(scenario);
        ++result_.runs;
    } while (!has_failed_ && result_.runs < bounds_.runs_max && next_execution());
    g_explorer = nullptr;
    result_.is_right = !has_failed_ && choices_.empty();
    if (!has_failed_ && !result_.is_right) {
        result_.text = "not all interleavings were seen: give more runs or fewer preemptions";
    }
    return result_;
}

void Explorer::execute(const std::function<void(Run&)>& scenario) {
    next_choice_ = 0;
    preemptions_left_ = bounds_.preemptions;
    old_values_left_ = bounds_.old_values;
    is_armed_ = false;
    threads_ = 0;
    current_ = kMain;
    if (_setjmp(root_) == 0) {
        scenario(*this);
    }
}

void Explorer::fail(const std::string& text) {
    result_.text = text + " (execution " + std::to_string(result_.runs + 1) + ")\n" + text_of(steps_);
    has_failed_ = true;
    is_armed_ = false;
    _longjmp(root_, 1);
}

void Explorer::enter_fiber() {
    Fiber& self = g_explorer->fibers_[g_explorer->current_];
    self.body();
    self.has_ended = true;
    g_explorer->go_on_elsewhere();
    std::abort();  // nobody goes on with a thread that has ended
}

void Explorer::thread(std::function<void()> body) {
    if (threads_ == kThreadsMax) {
        fail("too many threads");
    }
    Fiber& fiber = fibers_[threads_];
    fiber.body = std::move(body);
    fiber.waits_for = nullptr;
    fiber.has_started = false;
    fiber.has_ended = false;
    fiber.exceptions = {};
    if (stacks_[threads_] == nullptr) {
        stacks_[threads_] = std::make_unique<char[]>(kStackBytes);
    }
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = stacks_[threads_].get();
    fiber.start.uc_stack.ss_size = kStackBytes;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, &Explorer::enter_fiber, 0);
    ++threads_;
}

void Explorer::switch_to(std::size_t next) {
    const std::size_t from = current_;
    if (next == from) {
        return;
    }
    if (on_switch) {
        on_switch(from, next);
    }
    std::memcpy(fibers_[from].exceptions.data(), __cxa_get_globals(), fibers_[from].exceptions.size());
    std::memcpy(__cxa_get_globals(), fibers_[next].exceptions.data(), fibers_[next].exceptions.size());
    current_ = next;
    if (_setjmp(fibers_[from].context) == 0) {
        if (next != kMain && !std::exchange(fibers_[next].has_started, true)) {
            setcontext(&fibers_[next].start);
        }
        _longjmp(fibers_[next].context, 1);
    }
}

bool Explorer::is_true(const std::function<bool()>& condition) {
    const bool was_asking = std::exchange(is_asking_, true);
    const bool result = condition();
    is_asking_ = was_asking;
    return result;
}

bool Explorer::can_run(std::size_t index) {
    const Fiber& fiber = fibers_[index];
    return !fiber.has_ended && (fiber.waits_for == nullptr || is_true(fiber.waits_for));
}

/// The calling thread cannot go on, or need not as long as somebody else can.
void Explorer::go_on_elsewhere(bool may_stay) {
    if (threads_ == 0) {
        return;
    }
    std::array<std::size_t, kThreadsMax> others{};
    unsigned count = 0;
    for (std::size_t step = 1; step <= threads_; ++step) {
        const std::size_t index = (current_ == kMain ? step - 1 : current_ + step) % threads_;
        if ((index != current_ || (may_stay && count == 0)) && can_run(index)) {
            others[count++] = index;
        }
    }
    if (count > 0) {
        switch_to(others[is_armed_ && count > 1 ? choose(count) : 0]);
        return;
    }
    for (std::size_t index = 0; index < threads_; ++index) {
        if (!fibers_[index].has_ended && !(fibers_[index].waits_for != nullptr && fibers_[index].may_rest)) {
            fail("everybody waits");
        }
    }
    switch_to(kMain);
}

void Explorer::join() { go_on_elsewhere(); }

void Explorer::wait_until(std::function<bool()> condition, bool may_rest) {
    Fiber& self = fibers_[current_];
    self.may_rest = may_rest;
    while (!is_true(condition)) {
        self.waits_for = condition;
        go_on_elsewhere();
        self.waits_for = nullptr;
    }
}

void Explorer::let_others_rest() {
    const std::size_t self = current_;
    const auto others_rest = [this, self] {
        for (std::size_t index = 0; index < threads_; ++index) {
            if (index != self && can_run(index)) {
                return false;
            }
        }
        return true;
    };
    wait_until(others_rest, false);
}

void Explorer::before_step() {
    if (steps_.size() > kStepsMax) {
        fail("it does not end");
    }
    if (preemptions_left_ == 0) {
        return;
    }
    std::array<std::size_t, kThreadsMax> others{};
    unsigned count = 0;
    for (std::size_t index = 0; index < threads_; ++index) {
        if (index != current_ && can_run(index)) {
            others[count++] = index;
        }
    }
    if (count == 0) {
        return;
    }
    if (const unsigned taken = choose(count + 1); taken != 0) {
        --preemptions_left_;
        switch_to(others[taken - 1]);
    }
}

void Explorer::begin() noexcept {
    forget();
    steps_.clear();
    is_armed_ = true;
}

unsigned Explorer::choose_age(unsigned count) {
    if (old_values_left_ == 0) {
        return 0;
    }
    const unsigned age = choose(count);
    old_values_left_ -= age != 0 ? 1U : 0U;
    return age;
}

void Explorer::heavy() {
    fence(current_);
    for (std::size_t index = 0; index < threads_; ++index) {
        before_step();
        if (index != current_) {
            fence_from_outside(index);
        }
    }
    before_step();
    fence(current_);
}

/// The explorer, if it explores just now.
Explorer* armed() { return g_explorer != nullptr && g_explorer->is_armed() ? g_explorer : nullptr; }

/// Likewise, where another thread may go on first.
Explorer* at_step() {
    if (Explorer* const explorer = armed()) {
        explorer->before_step();
    }
    return armed();
}

}  // namespace

void made(Cell cell) noexcept {
    if (Explorer* const explorer = armed()) {
        explorer->made(cell);
    }
}

std::uint64_t load(Cell cell, std::memory_order order) noexcept {
    Explorer* const explorer = at_step();
    return explorer != nullptr ? explorer->load(explorer->current(), cell, order, false) : value_at(cell);
}

void store(Cell cell, std::uint64_t bits, std::memory_order order) noexcept {
    if (Explorer* const explorer = at_step()) {
        explorer->store(explorer->current(), cell, bits, order, false);
    } else {
        std::memcpy(cell.where, &bits, cell.size);
    }
}

std::uint64_t begin_update(Cell cell) noexcept {
    at_step();
    return value_at(cell);
}

void end_update(Cell cell, std::uint64_t bits, std::memory_order order) noexcept {
    if (Explorer* const explorer = armed()) {
        static_cast<void>(explorer->load(explorer->current(), cell, order, true));
        explorer->store(explorer->current(), cell, bits, order, true);
    } else {
        std::memcpy(cell.where, &bits, cell.size);
    }
}

void give_up_update(Cell cell, std::memory_order order) noexcept {
    if (Explorer* const explorer = armed()) {
        static_cast<void>(explorer->load(explorer->current(), cell, order, true));
    }
}

void wait_for_change(Cell cell, std::uint64_t old) noexcept {
    at_step();
    Explorer* const explorer = g_explorer;
    while (explorer != nullptr && value_at(cell) == old) {
        explorer->sleep_at(explorer->current(), cell);
        explorer->wait_until([explorer, self = explorer->current()] { return !explorer->sleeps(self); }, false);
    }
}

void notify(Cell cell, bool all) noexcept {
    at_step();
    if (g_explorer != nullptr) {
        g_explorer->wake_at(cell, all);
    }
}

void full_fence() noexcept {
    if (Explorer* const explorer = at_step()) {
        explorer->fence(explorer->current());
    }
}

void light_fence() noexcept {
    if (Explorer* const explorer = armed()) {
        explorer->light_fence(explorer->current());
    }
}

void heavy_fence() noexcept {
    if (Explorer* const explorer = armed()) {
        explorer->heavy();
    }
}

void relax() noexcept {
    if (g_explorer != nullptr) {
        g_explorer->go_on_elsewhere(true);
    }
}

Result explore(const Bounds& bounds, const std::function<void(Run&)>& scenario) {
    // Threads keep pointers to where they run: one place for good.
    const auto explorer = std::make_unique<Explorer>(bounds);
    return explorer->all(scenario);
}

}  // namespace knit::detail::model
