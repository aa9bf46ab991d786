// pingpong on Go: two goroutines and two channels that hold one item.
package main

import (
	"time"

	"bench/support"
)

func main() {
	trips := support.Number("trips", 1_000_000, "round trips")
	support.Parse()
	there, back := make(chan int64, 1), make(chan int64, 1)
	started := time.Now()
	go func() {
		for trip := int64(0); trip < *trips; trip++ {
			back <- <-there + 1
		}
	}()
	value := int64(0)
	for trip := int64(0); trip < *trips; trip++ {
		there <- value + 1
		value = <-back
	}
	support.Report("pingpong", *trips, value, 2**trips, time.Since(started), "")
}
