// uts on Go: a goroutine for every node that is not the last child of its parent.
package main

import (
	"math"
	"time"

	"bench/support"
)

// As in case.hpp.
var nodesAt = [13]int64{1, 11, 45, 144, 565, 2_293, 9_320, 37_559, 150_358, 600_686, 2_401_377, 9_592_929, 38_367_258}

func mix(word uint64) uint64 {
	word += 0x9e3779b97f4a7c15
	word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9
	word = (word ^ (word >> 27)) * 0x94d049bb133111eb
	return word ^ (word >> 31)
}

func children(state uint64, depth, deepest int64) int {
	count := 0
	if depth < deepest {
		for word := mix(^state); word < math.MaxUint64/5*4 && count < 100; word = mix(word) {
			count++
		}
	}
	return count
}

func count(state uint64, depth, deepest int64) int64 {
	width := children(state, depth, deepest)
	if width == 0 {
		return 1
	}
	found := make(chan int64, width)
	for index := 1; index < width; index++ {
		go func(child uint64) { found <- count(child, depth+1, deepest) }(mix(state ^ mix(uint64(index))))
	}
	nodes := 1 + count(mix(state^mix(uint64(width))), depth+1, deepest)
	for index := 1; index < width; index++ {
		nodes += <-found
	}
	return nodes
}

func main() {
	depth := support.Number("depth", 10, "levels, at most 12")
	support.Parse()
	started := time.Now()
	answer := count(mix(19), 0, *depth)
	support.Report("uts", nodesAt[*depth], answer, nodesAt[*depth], time.Since(started), "")
}
