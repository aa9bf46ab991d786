// fib on Go: one child as a goroutine, the other in place.
package main

import (
	"time"

	"bench/support"
)

func fib(n int64) int64 {
	if n < 2 {
		return n
	}
	left := make(chan int64, 1)
	go func() { left <- fib(n - 1) }()
	right := fib(n - 2)
	return <-left + right
}

func expected(n int64) int64 {
	current, next := int64(0), int64(1)
	for ; n > 0; n-- {
		current, next = next, current+next
	}
	return current
}

func main() {
	n := support.Number("n", 37, "which number")
	support.Parse()
	started := time.Now()
	answer := fib(*n)
	support.Report("fib", 2*expected(*n+1)-1, answer, expected(*n), time.Since(started), "")
}
