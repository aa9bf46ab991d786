/// uts: counts the nodes of a tree that nobody can divide beforehand: how many children a node has comes from a hash
/// of its place. The number is geometric with a mean of 4 down to a fixed depth, so subtrees differ by orders of
/// magnitude.
#pragma once

#include <array>
#include <cstdint>

namespace bench::uts {

inline constexpr unsigned kDefault = 10;
inline constexpr unsigned kMost = 12;
inline constexpr unsigned kChildrenMost = 100;
inline constexpr std::uint64_t kRoot = 19;

/// splitmix64's finalizer.
constexpr std::uint64_t mix(std::uint64_t word) {
    word += 0x9e3779b97f4a7c15;
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
    word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
    return word ^ (word >> 31);
}

struct Node {
    std::uint64_t state = mix(kRoot);
    unsigned depth = 0;

    constexpr Node child(unsigned index) const { return {mix(state ^ mix(index + 1)), depth + 1}; }

    /// Of a tree that is `deepest` levels deep: one more child as long as a hash stays below four fifths.
    constexpr unsigned children(unsigned deepest) const {
        constexpr std::uint64_t kThreshold = UINT64_MAX / 5 * 4;
        unsigned count = 0;
        if (depth < deepest) {
            for (std::uint64_t word = mix(~state); word < kThreshold && count < kChildrenMost; word = mix(word)) {
                ++count;
            }
        }
        return count;
    }
};

/// Nodes of the trees that are so deep, counted by a plain walk.
inline constexpr std::array<std::int64_t, kMost + 1> kNodes = {
    1, 11, 45, 144, 565, 2'293, 9'320, 37'559, 150'358, 600'686, 2'401'377, 9'592'929, 38'367'258};

}  // namespace bench::uts
