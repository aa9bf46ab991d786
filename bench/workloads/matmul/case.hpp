/// matmul: the product of two square matrices by quarters, eight smaller products each, down to blocks of 32. Bodies of
/// some size: what is measured is how little the runtime is in the way.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bench::matmul {

inline constexpr std::size_t kDefault = 2048;
inline constexpr std::size_t kMost = 8192;
inline constexpr std::size_t kBlock = 32;

/// Part of a matrix: `stride` elements from one row to the next.
struct Part {
    float* first;
    std::size_t stride;

    Part quarter(std::size_t row, std::size_t column, std::size_t half) const {
        return {first + row * half * stride + column * half, stride};
    }
};

/// target += left * right, blocks of kBlock.
inline void multiply_block(Part target, Part left, Part right) {
    for (std::size_t row = 0; row < kBlock; ++row) {
        float* const to = target.first + row * target.stride;
        // A copy, which the compiler keeps in registers.
        float sums[kBlock];
        std::copy_n(to, kBlock, sums);
        for (std::size_t k = 0; k < kBlock; ++k) {
            const float factor = left.first[row * left.stride + k];
            const float* const from = right.first + k * right.stride;
            for (std::size_t column = 0; column < kBlock; ++column) {
                sums[column] += factor * from[column];
            }
        }
        std::copy_n(sums, kBlock, to);
    }
}

/// Products, of blocks and of larger parts, each a task.
constexpr std::uint64_t tasks(std::size_t n) {
    std::uint64_t sum = 1;
    for (std::uint64_t level = 1; n > kBlock; n /= 2) {
        level *= 8;
        sum += level;
    }
    return sum;
}

/// The factors and the product. All elements are small whole numbers, so every sum is exact in whatever order.
class Problem {
public:
    explicit Problem(std::size_t n) : n_(n), left_(n * n), right_(n * n), product_(n * n) {
        for (std::size_t row = 0; row < n; ++row) {
            for (std::size_t column = 0; column < n; ++column) {
                left_[row * n + column] = static_cast<float>((row + 2 * column) % 7);
                right_[row * n + column] = static_cast<float>((3 * row + column) % 5);
            }
        }
    }

    std::size_t size() const { return n_; }
    Part left() { return {left_.data(), n_}; }
    Part right() { return {right_.data(), n_}; }
    Part product() { return {product_.data(), n_}; }

    /// A weighted sum of the product's elements ...
    std::int64_t answer() const {
        std::int64_t sum = 0;
        for (std::size_t row = 0; row < n_; ++row) {
            for (std::size_t column = 0; column < n_; ++column) {
                sum += row_weight(row) * column_weight(column) * static_cast<std::int64_t>(product_[row * n_ + column]);
            }
        }
        return sum;
    }

    /// ... and the same from the factors, without multiplying them.
    std::int64_t expected() const {
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < n_; ++k) {
            std::int64_t rows = 0;
            std::int64_t columns = 0;
            for (std::size_t i = 0; i < n_; ++i) {
                rows += row_weight(i) * static_cast<std::int64_t>(left_[i * n_ + k]);
                columns += column_weight(i) * static_cast<std::int64_t>(right_[k * n_ + i]);
            }
            sum += rows * columns;
        }
        return sum;
    }

private:
    static std::int64_t row_weight(std::size_t row) { return static_cast<std::int64_t>(row % 5 + 1); }
    static std::int64_t column_weight(std::size_t column) { return static_cast<std::int64_t>(column % 3 + 1); }

    std::size_t n_;
    std::vector<float> left_;
    std::vector<float> right_;
    std::vector<float> product_;
};

constexpr bool is_size(std::size_t n) { return n >= kBlock && n <= kMost && (n & (n - 1)) == 0; }

}  // namespace bench::matmul
