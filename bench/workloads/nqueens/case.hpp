/// nqueens: in how many ways n queens stand on a board without attacking each other. Uneven tree, bodies that compute.
#pragma once

#include <array>
#include <cstdint>

namespace bench::nqueens {

inline constexpr unsigned kDefault = 13;
inline constexpr unsigned kMost = 15;

/// Column of the queen in each of the first rows.
using Board = std::array<std::int8_t, 16>;

/// Whether a queen in row `row` and column `column` is safe from those in the rows above.
inline bool is_safe(const Board& board, unsigned row, int column) {
    for (unsigned above = 0; above < row; ++above) {
        const int distance = static_cast<int>(row - above);
        const int other = board[above];
        if (other == column || other == column - distance || other == column + distance) {
            return false;
        }
    }
    return true;
}

/// Solutions, and boards that the search visits (each one a task): from OEIS A000170, and counted by a plain search.
struct Size {
    std::int64_t solutions;
    std::uint64_t boards;
};
inline constexpr std::array<Size, kMost + 1> kSizes = {{{1, 1},
                                                        {1, 2},
                                                        {0, 3},
                                                        {0, 6},
                                                        {2, 17},
                                                        {10, 54},
                                                        {4, 153},
                                                        {40, 552},
                                                        {92, 2'057},
                                                        {352, 8'394},
                                                        {724, 35'539},
                                                        {2'680, 166'926},
                                                        {14'200, 856'189},
                                                        {73'712, 4'674'890},
                                                        {365'596, 27'358'553},
                                                        {2'279'184, 171'129'072}}};

}  // namespace bench::nqueens
