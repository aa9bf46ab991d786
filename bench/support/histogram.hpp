/// Histogram: durations in buckets of about 3 % width, in constant memory.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace bench {

/// One thread fills a histogram; merge() brings several together.
class Histogram {
public:
    void add(std::uint64_t nanoseconds) {
        ++counts_[index(nanoseconds)];
        ++total_;
        most_ = std::max(most_, nanoseconds);
    }

    void merge(const Histogram& other) {
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            counts_[i] += other.counts_[i];
        }
        total_ += other.total_;
        most_ = std::max(most_, other.most_);
    }

    std::uint64_t total() const { return total_; }

    /// The value in nanoseconds that the given share of all values does not exceed (to a bucket's width); 0 if empty.
    std::uint64_t quantile(double share) const {
        // The rank is rounded up: of 150 values 149 are the least that make 99 %.
        const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total_)));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (seen > 0 && seen >= wanted) {
                return std::min(upper(i), most_);
            }
        }
        return most_;
    }

    /// How many values lie in buckets that end at or below `nanoseconds`.
    std::uint64_t count_up_to(std::uint64_t nanoseconds) const {
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < counts_.size() && upper(i) <= nanoseconds; ++i) {
            seen += counts_[i];
        }
        return seen;
    }

    /// Calls function(upper end in nanoseconds, count) for each bucket that is not empty, from the lowest up.
    template <class F>
    void for_each(F&& function) const {
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            if (counts_[i] != 0) {
                function(upper(i), counts_[i]);
            }
        }
    }

private:
    static constexpr unsigned kBits = 5;
    static constexpr std::uint64_t kSteps = std::uint64_t{1} << kBits;

    // Values below 2 * kSteps have a bucket each; above, each power of two is cut into kSteps buckets.
    static std::size_t index(std::uint64_t value) {
        if (value < 2 * kSteps) {
            return static_cast<std::size_t>(value);
        }
        const auto shift = static_cast<unsigned>(std::bit_width(value)) - kBits - 1;
        return static_cast<std::size_t>(shift * kSteps + (value >> shift));
    }

    static std::uint64_t upper(std::size_t index) {
        if (index < 2 * kSteps) {
            return index;
        }
        const std::uint64_t shift = index / kSteps - 1;
        return (((index % kSteps + kSteps) + 1) << shift) - 1;
    }

    std::array<std::uint64_t, (64 - kBits + 1) * kSteps> counts_{};
    std::uint64_t total_ = 0;
    std::uint64_t most_ = 0;
};

}  // namespace bench
