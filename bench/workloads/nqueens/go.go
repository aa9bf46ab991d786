// nqueens on Go: a goroutine for every board that is still without an attack.
package main

import (
	"time"

	"bench/support"
)

type board [16]int8

// As in case.hpp: from OEIS A000170, and the boards that the search visits.
var sizes = [16][2]int64{{1, 1}, {1, 2}, {0, 3}, {0, 6}, {2, 17}, {10, 54}, {4, 153}, {40, 552}, {92, 2_057},
	{352, 8_394}, {724, 35_539}, {2_680, 166_926}, {14_200, 856_189}, {73_712, 4_674_890}, {365_596, 27_358_553},
	{2_279_184, 171_129_072}}

func isSafe(queens *board, row, column int) bool {
	for above := 0; above < row; above++ {
		distance, other := row-above, int(queens[above])
		if other == column || other == column-distance || other == column+distance {
			return false
		}
	}
	return true
}

func nqueens(queens board, row, n int) int64 {
	if row == n {
		return 1
	}
	found := make(chan int64, n)
	children := 0
	for column := 0; column < n; column++ {
		if isSafe(&queens, row, column) {
			queens[row] = int8(column)
			children++
			go func(child board) { found <- nqueens(child, row+1, n) }(queens)
		}
	}
	solutions := int64(0)
	for ; children > 0; children-- {
		solutions += <-found
	}
	return solutions
}

func main() {
	n := support.Number("n", 12, "columns, at most 15")
	support.Parse()
	started := time.Now()
	answer := nqueens(board{}, 0, int(*n))
	support.Report("nqueens", sizes[*n][1], answer, sizes[*n][0], time.Since(started), "")
}
