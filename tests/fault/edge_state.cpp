#include "edge_state.hpp"

#include <ctime>
#include <utility>

#include "doorbell.hpp"

extern "C" void __real__ZN4knit6detail8Doorbell4ringEv(knit::detail::Doorbell* bell);

namespace knit::fault {
namespace {

constexpr std::pair<const char*, std::uint64_t Counts::*> kKinds[] = {
    {"errors", &Counts::errors},
    {"shortened", &Counts::shortened},
    {"held", &Counts::held},
    {"without F_MORE", &Counts::ended},
    {"swapped", &Counts::swapped},
    {"enters", &Counts::enters},
    {"short enters", &Counts::short_enters},
    {"flags denied", &Counts::denied},
    {"doubled", &Counts::doubled},
    {"refused", &Counts::refused},
    {"bells failed", &Counts::bells_failed},
    {"bells doubled", &Counts::bells_doubled},
    {"bells late", &Counts::bells_late},
};

}  // namespace

std::uint64_t Counts::total() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& [name, count] : kKinds) {
        sum += this->*count;
    }
    return sum;
}

Counts& Counts::operator+=(const Counts& more) noexcept {
    for (const auto& [name, count] : kKinds) {
        this->*count += more.*count;
    }
    sendfiles += more.sendfiles;
    busy_enters += more.busy_enters;
    overflows += more.overflows;
    rings_in_vain += more.rings_in_vain;
    return *this;
}

std::string Counts::to_string() const {
    std::string text = std::to_string(total()) + " faults";
    for (const auto& [name, count] : kKinds) {
        if (this->*count != 0) {
            text += ", " + std::to_string(this->*count) + " " + name;
        }
    }
    return text + "; " + std::to_string(overflows) + " overflows";
}

Shared& shared() {
    static Shared instance;
    return instance;
}

void set_plan(const Plan& plan) {
    const std::lock_guard lock(shared().mutex);
    shared().plan = plan;
    shared().counts = {};
    shared().errors.clear();
    shared().random.seed(plan.seed);
    shared().rings = 0;
    shared().bells.clear();
}

Counts counts() {
    const std::lock_guard lock(shared().mutex);
    return shared().counts;
}

std::set<int> errors_given() {
    const std::lock_guard lock(shared().mutex);
    return shared().errors;
}

void let_others_go_on(int times) {
    const timespec time{0, times * 200'000};
    nanosleep(&time, nullptr);
}

void ring_without_reason(int bell) {
    const std::lock_guard lock(shared().mutex);
    if (const auto found = shared().bells.find(bell); found != shared().bells.end()) {
        ++shared().counts.bells_doubled;
        __real__ZN4knit6detail8Doorbell4ringEv(found->second);
    }
}

}  // namespace knit::fault

using knit::fault::shared;

// Doorbell::ring(), by its name for the linker.
extern "C" void __wrap__ZN4knit6detail8Doorbell4ringEv(knit::detail::Doorbell* bell) {
    bool is_doubled = false;
    bool is_late = false;
    const int number = bell->number();
    {
        const std::lock_guard lock(shared().mutex);
        shared().bells[number] = bell;
        is_late = !knit::fault::is_ring_here() && shared().happens(shared().plan.rings_late);
        shared().counts.bells_late += is_late ? 1 : 0;
        is_doubled = shared().happens(shared().plan.bells_doubled);
        shared().counts.bells_doubled += is_doubled ? 1 : 0;
    }
    if (is_late) {
        knit::fault::let_others_go_on(10);
        const std::lock_guard lock(shared().mutex);
        if (!shared().bells.contains(number)) {
            ++shared().counts.rings_in_vain;
            return;
        }
    }
    __real__ZN4knit6detail8Doorbell4ringEv(bell);
    if (is_doubled) {
        __real__ZN4knit6detail8Doorbell4ringEv(bell);
    }
}
