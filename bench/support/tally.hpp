/// Tally: counts requests on several loops without any loop touching another's counter.
#pragma once

#include <array>
#include <cstdint>

namespace bench {

/// Each loop adds to a cell of its own; sum() is for after the loops have ended.
class Tally {
    struct alignas(64) Cell {
        std::uint64_t requests = 0;
    };

public:
    static constexpr unsigned kLoopsMost = 1024;

    /// The part of one connection, counted in its coroutine's frame and added to its loop's cell at its end.
    class Share {
    public:
        Share(Tally& tally, unsigned loop) : cell_(tally.cells_[loop % kLoopsMost]) {}
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;
        ~Share() { cell_.requests += requests_; }
        void add(std::uint64_t requests) { requests_ += requests; }

    private:
        Cell& cell_;
        std::uint64_t requests_ = 0;
    };

    std::uint64_t sum() const {
        std::uint64_t all = 0;
        for (const Cell& cell : cells_) {
            all += cell.requests;
        }
        return all;
    }

private:
    std::array<Cell, kLoopsMost> cells_{};
};

}  // namespace bench
