// pingpong on Go: two goroutines and two channels that hold one item; on two loops each is tied to a thread of its own,
// or Go would run both on one.
package main

import (
	"runtime"
	"time"

	"bench/support"
)

func main() {
	trips := support.Number("trips", 1_000_000, "round trips")
	hasTwo := support.Parse() > 1
	there, back := make(chan int64, 1), make(chan int64, 1)
	started := time.Now()
	go func() {
		if hasTwo {
			runtime.LockOSThread()
		}
		for trip := int64(0); trip < *trips; trip++ {
			back <- <-there + 1
		}
	}()
	if hasTwo {
		runtime.LockOSThread()
	}
	value := int64(0)
	for trip := int64(0); trip < *trips; trip++ {
		there <- value + 1
		value = <-back
	}
	support.Report("pingpong", *trips, value, 2**trips, time.Since(started), "")
}
