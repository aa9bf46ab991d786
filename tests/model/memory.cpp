#include "memory.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace knit::detail::model {
namespace {

std::uint32_t at(const View& view, std::size_t location) { return location < view.size() ? view[location] : 0; }

void raise(View& view, std::size_t location, std::uint32_t to) {
    if (location >= view.size()) {
        view.resize(location + 1);
    }
    view[location] = std::max(view[location], to);
}

void join_view(View& view, const View& other) {
    if (other.size() > view.size()) {
        view.resize(other.size());
    }
    for (std::size_t index = 0; index < other.size(); ++index) {
        view[index] = std::max(view[index], other[index]);
    }
}

bool is_acquire(std::memory_order order) {
    return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}
bool is_release(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
}

}  // namespace

std::uint64_t value_at(Cell cell) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, cell.where, cell.size);
    return bits;
}

void Memory::forget() {
    locations_.clear();
    histories_.clear();
    sequential_.clear();
    knowledge_ = {};
    sleepers_.clear();
}

std::size_t Memory::location_of(Cell cell) {
    const auto [place, is_new] = locations_.try_emplace(cell.where, histories_.size());
    if (is_new) {
        histories_.push_back({{value_at(cell), {}}});
    }
    std::vector<Store>& history = histories_[place->second];
    if (history.back().bits != value_at(cell)) {
        // Written by code that is not explored: everybody knows.
        history.push_back({value_at(cell), {}});
        for (Knowledge& each : knowledge_) {
            raise(each.view, place->second, static_cast<std::uint32_t>(history.size() - 1));
        }
    }
    return place->second;
}

void Memory::made(Cell cell) {
    if (const auto found = locations_.find(cell.where); found != locations_.end()) {
        histories_[found->second].push_back({value_at(cell), {}});
        for (Knowledge& each : knowledge_) {
            raise(each.view, found->second, static_cast<std::uint32_t>(histories_[found->second].size() - 1));
        }
    }
}

std::uint64_t Memory::load(std::size_t thread, Cell cell, std::memory_order order, bool is_newest) {
    const std::size_t location = location_of(cell);
    const std::vector<Store>& history = histories_[location];
    Knowledge& self = knowledge_[thread];
    const auto newest = static_cast<std::uint32_t>(history.size() - 1);
    std::uint32_t oldest = at(self.view, location);
    if (order == std::memory_order_seq_cst) {
        oldest = std::max(oldest, at(sequential_, location));
    }
    oldest = std::min(oldest, newest);
    std::uint32_t age = 0;
    if (!is_newest && oldest < newest) {
        age = choose_age(newest - oldest + 1);
    }
    const Store& seen = history[newest - age];
    raise(self.view, location, newest - age);
    join_view(is_acquire(order) ? self.view : self.to_acquire, seen.released);
    if (!is_newest) {
        note("load", location, seen.bits, age);
    }
    return seen.bits;
}

void Memory::store(std::size_t thread, Cell cell, std::uint64_t bits, std::memory_order order, bool is_update) {
    const std::size_t location = location_of(cell);
    std::vector<Store>& history = histories_[location];
    Knowledge& self = knowledge_[thread];
    const auto position = static_cast<std::uint32_t>(history.size());
    // What comes after an acquiring update stays after it, and what came before a releasing one before. A store that
    // releases may be moved itself, behind what is loaded later.
    if (is_update && is_acquire(order) && is_release(order)) {
        self.not_movable = self.view;
    }
    raise(self.view, location, position);
    if (is_update && is_acquire(order)) {
        raise(self.not_movable, location, position);
    }
    View released = is_release(order) ? self.view : self.fenced;
    raise(released, location, position);
    if (is_update) {
        join_view(released, history.back().released);
    }
    history.push_back({bits, std::move(released)});
    if (order == std::memory_order_seq_cst) {
        raise(sequential_, location, position);
    }
    std::memcpy(cell.where, &bits, cell.size);
    note(is_update ? "update" : "store", location, bits, 0);
}

void Memory::take_fence(std::size_t thread, const View& published) {
    Knowledge& self = knowledge_[thread];
    join_view(sequential_, published);
    join_view(self.view, self.to_acquire);
    join_view(self.view, sequential_);
}

void Memory::fence(std::size_t thread) {
    Knowledge& self = knowledge_[thread];
    join_view(self.view, self.to_acquire);
    take_fence(thread, View(self.view));
    self.fenced = self.view;
    self.not_movable = self.view;
    note("fence", 0, 0, 0);
}

bool Memory::sleeps(std::size_t thread) const {
    return std::ranges::any_of(sleepers_, [thread](const auto& one) { return one.first == thread; });
}

void Memory::wake_at(Cell cell, bool all) {
    const auto is_here = [cell](const auto& one) { return one.second == cell.where; };
    if (all) {
        std::erase_if(sleepers_, is_here);
    } else if (const auto first = std::ranges::find_if(sleepers_, is_here); first != sleepers_.end()) {
        sleepers_.erase(first);
    }
}

}  // namespace knit::detail::model
