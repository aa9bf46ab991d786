// skynet on Go: every node starts ten goroutines, which send their sums over a channel.
package main

import (
	"time"

	"bench/support"
)

func skynet(to chan<- int64, number, leaves int64) {
	if leaves == 1 {
		to <- number
		return
	}
	sums := make(chan int64, 10)
	share := leaves / 10
	for child := int64(0); child < 10; child++ {
		go skynet(sums, number+child*share, share)
	}
	all := int64(0)
	for child := 0; child < 10; child++ {
		all += <-sums
	}
	to <- all
}

func main() {
	leaves := support.Number("leaves", 1_000_000, "a power of ten")
	support.Parse()
	nodes := int64(0)
	for level := *leaves; level > 0; level /= 10 {
		nodes += level
	}
	started := time.Now()
	root := make(chan int64, 1)
	skynet(root, 0, *leaves)
	answer := <-root
	support.Report("skynet", nodes, answer, *leaves*(*leaves-1)/2, time.Since(started), "")
}
