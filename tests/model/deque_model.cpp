// The deque's protocol, step by step, through every interleaving that store buffers (x86-64, TSO) allow.
//
// The owner's stores wait in a buffer that drains at any time; a full fence waits until it is empty; a CAS is a full
// fence; heavy_fence() drains it from the other side. Thieves store by CAS alone, so they need no buffer. Every script
// of four owner's operations runs against a thief that steals twice, two thieves, and a thief with a loop that goes to
// sleep. What must hold: no item is taken twice, none is lost, and none stays behind that neither its pusher nor the
// sleeper knows of. Each fence that the proof at the head of deque.hpp names is also left out once: the model must then
// find the fault. The array does not wrap here; orders weaker than TSO are left to the proof and ThreadSanitizer.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

using Byte = std::uint8_t;
// Whose fence is left out; order: thieves look at the mode before they load top.
enum class Fault { none, thief, order, begin, pop, push, sleeper };

// How often the two thieves steal, and the first step of the sleeper: the last one is that of none.
constexpr Byte kSleeperSteps = 5;
constexpr std::array<Byte, 3> kCasts[] = {{2, 0, kSleeperSteps}, {1, 1, kSleeperSteps}, {1, 0, 0}};

constexpr int kItems = 8;
enum Cell : Byte { top, bottom, mode, sleeping, slots, cells = slots + kItems };

struct Thief {
    Byte step, steals, top, mode, item;
};

// All bytes, no padding: states are compared and hashed as memory.
struct State {
    std::array<Byte, cells> memory;
    std::array<Byte, 24> buffer;  // the owner's stores: cell, value, oldest first
    Byte buffered;                // bytes used in it
    Byte operation, step;         // the owner's place in the script
    Byte own_bottom, own_mode, seen_top, pushed;
    std::array<Byte, kItems> own_slots;
    Byte taken, unannounced;  // a bit for each item; unannounced: its pusher saw no sleeper
    Byte is_broken;           // something was taken twice
    std::array<Thief, 2> thieves;
    Byte sleeper_step, sleeper_mode, sleeper_top, asleep;
};
static_assert(std::has_unique_object_representations_v<State>);

bool operator==(const State& one, const State& other) { return std::memcmp(&one, &other, sizeof(State)) == 0; }

struct Hash {
    std::size_t operator()(const State& state) const noexcept {
        return std::hash<std::string_view>{}({reinterpret_cast<const char*>(&state), sizeof(State)});
    }
};

class Model {
public:
    Model(std::string script, Fault fault) : script_(std::move(script)), fault_(fault) {}

    /// Whether all interleavings are right. Starts with two items in.
    bool holds(const std::array<Byte, 3>& cast, bool starts_unfenced) {
        State start;
        std::memset(&start, 0, sizeof(start));
        start.memory[bottom] = start.own_bottom = start.pushed = 2;
        start.memory[slots + 1] = start.own_slots[1] = 1;
        start.memory[mode] = start.own_mode = starts_unfenced;
        start.thieves[0].steals = cast[0];
        start.thieves[1].steals = cast[1];
        start.sleeper_step = cast[2];
        visit(start);
        while (!open_.empty() && !has_failed_) {
            const State state = open_.back();
            open_.pop_back();
            bool is_end = true;
            for (int who = 0; who < 5; ++who) {
                State next = state;
                if (who == 0   ? drain_one(next)
                    : who == 1 ? step_owner(next)
                    : who == 2 ? step_sleeper(next)
                               : step_thief(next, next.thieves.at(static_cast<std::size_t>(who - 3)))) {
                    is_end = false;
                    visit(next);
                }
            }
            has_failed_ = has_failed_ || (is_end && !is_right_at_the_end(state));
        }
        return !has_failed_;
    }

private:
    void visit(const State& state) {
        has_failed_ = has_failed_ || state.is_broken != 0;
        if (seen_.insert(state).second) {
            open_.push_back(state);
        }
    }
    static bool is_right_at_the_end(const State& state) {
        int left = 0;
        for (std::size_t index = state.memory[top]; index < state.memory[bottom]; ++index) {
            left |= 1 << state.memory[slots + index];
        }
        const bool is_complete = (left ^ state.taken) == (1 << state.pushed) - 1 && (left & state.taken) == 0;
        return is_complete && (state.asleep == 0 || (left & state.unannounced) == 0);
    }

    static bool store(State& state, std::size_t cell, int value) {
        state.buffer.at(state.buffered++) = static_cast<Byte>(cell);
        state.buffer.at(state.buffered++) = static_cast<Byte>(value);
        return true;
    }
    static bool drain_one(State& state) {
        if (state.buffered == 0) {
            return false;
        }
        state.memory.at(state.buffer[0]) = state.buffer[1];
        std::memmove(state.buffer.data(), state.buffer.data() + 2, state.buffer.size() - 2);
        state.buffered = static_cast<Byte>(state.buffered - 2);
        return true;
    }
    static bool heavy_fence_if(bool condition, State& state) {
        while (condition && drain_one(state)) {
        }
        return true;
    }
    /// The CAS that raises top, and the item behind it.
    static void take_at_top(State& state, int expected, int item) {
        if (state.memory[top] == expected) {
            ++state.memory[top];
            take(state, item);
        }
    }
    static void take(State& state, int item) {
        state.is_broken = static_cast<Byte>(state.is_broken | (state.taken >> item & 1));
        state.taken = static_cast<Byte>(state.taken | 1 << item);
    }
    static bool end_operation(State& state) {
        ++state.operation;
        state.step = state.seen_top = 0;
        return true;
    }

    bool step_owner(State& state) {
        if (state.operation == script_.size()) {
            return false;
        }
        const char operation = script_[state.operation];
        return operation == '+' ? step_push(state) : operation == '-' ? step_pop(state) : step_switch(state);
    }
    bool step_push(State& state) {
        switch (state.step++) {
            case 0:
                state.own_slots.at(state.own_bottom) = state.pushed;
                return store(state, std::size_t{slots} + state.own_bottom, state.pushed);
            case 1: return store(state, bottom, ++state.own_bottom);
            case 2: return state.own_mode != 0 || fault_ == Fault::push || state.buffered == 0;
            default:
                if (state.memory[sleeping] == 0) {
                    state.unannounced = static_cast<Byte>(state.unannounced | 1 << state.pushed);
                }
                ++state.pushed;
                return end_operation(state);
        }
    }
    bool step_pop(State& state) {
        const auto last = static_cast<Byte>(state.own_bottom - 1);
        switch (state.step++) {
            case 0:  // bytes cannot go below zero; the real bottom does, for a moment
                return state.own_bottom == 0 ? end_operation(state) : store(state, bottom, last);
            case 1: return state.own_mode != 0 || fault_ == Fault::pop || state.buffered == 0;
            case 2:
                state.seen_top = state.memory[top];
                if (state.seen_top < last) {
                    take(state, state.own_slots.at(last));
                    state.own_bottom = last;
                    return end_operation(state);
                }
                return true;
            case 3:
                if (state.seen_top != last) {
                    return true;
                }
                take_at_top(state, last, state.own_slots.at(last));
                return state.buffered == 0;
            default: return store(state, bottom, last + 1) && end_operation(state);
        }
    }
    bool step_switch(State& state) {
        const bool is_beginning = state.own_mode == 0;
        if (state.step++ == 0) {
            return store(state, mode, is_beginning);
        }
        state.own_mode = is_beginning;
        end_operation(state);
        return !is_beginning || fault_ == Fault::begin || state.buffered == 0;
    }

    bool step_thief(State& state, Thief& self) {
        if (self.steals == 0) {
            return false;
        }
        switch (self.step++) {
            case 0:
            case 1:
                if ((self.step == 1) == (fault_ == Fault::order)) {
                    self.mode = state.memory[mode];
                } else {
                    self.top = state.memory[top];
                }
                return true;
            case 2: return heavy_fence_if(self.mode != 0 && fault_ != Fault::thief, state);
            case 3:
                if (self.top < state.memory[bottom]) {
                    return true;
                }
                break;
            case 4: self.item = state.memory.at(std::size_t{slots} + self.top); return true;
            default: take_at_top(state, self.top, self.item);
        }
        self = {0, static_cast<Byte>(self.steals - 1), 0, 0, 0};
        return true;
    }
    bool step_sleeper(State& state) {
        switch (state.sleeper_step++) {
            case 0: state.memory[sleeping] = 1; return true;
            case 1: state.sleeper_mode = state.memory[mode]; return true;
            case 2: return heavy_fence_if(state.sleeper_mode != 0 && fault_ != Fault::sleeper, state);
            case 3: state.sleeper_top = state.memory[top]; return true;
            case 4: state.asleep = state.sleeper_top >= state.memory[bottom]; return true;
            default: return false;
        }
    }

    const std::string script_;
    const Fault fault_;
    bool has_failed_ = false;
    std::unordered_set<State, Hash> seen_;
    std::vector<State> open_;
};

/// The first script of four operations (push, pop, switch of mode) that breaks it, or nothing.
std::string first_broken(Fault fault) {
    for (unsigned code = 0; code < 3 * 3 * 3 * 3; ++code) {
        const std::string script{"+-~"[code % 3], "+-~"[code / 3 % 3], "+-~"[code / 9 % 3], "+-~"[code / 27]};
        for (const auto& cast : kCasts) {
            if (!Model(script, fault).holds(cast, false) || !Model(script, fault).holds(cast, true)) {
                return script;
            }
        }
    }
    return {};
}

TEST(DequeModel, NoItemIsTakenTwiceLostOrSleptOver) { EXPECT_EQ(first_broken(Fault::none), ""); }

TEST(DequeModel, FindsWhatEachFenceIsFor) {
    for (const Fault fault : {Fault::thief, Fault::order, Fault::begin, Fault::pop, Fault::push, Fault::sleeper}) {
        EXPECT_NE(first_broken(fault), "") << static_cast<int>(fault);
    }
}

}  // namespace
