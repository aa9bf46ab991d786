// channel on Go: a channel, four goroutines on either side.
package main

import (
	"sync"
	"time"

	"bench/support"
)

const sides, capacity = 4, 64

func main() {
	items := support.Number("items", 1_000_000, "how many")
	support.Parse()
	started := time.Now()
	channel, sums := make(chan int64, capacity), make(chan int64, sides)
	var producers sync.WaitGroup
	producers.Add(sides)
	for side := int64(1); side <= sides; side++ {
		go func(first int64) {
			for item := first; item <= *items; item += sides {
				channel <- item
			}
			producers.Done()
		}(side)
		go func() {
			sum := int64(0)
			for item := range channel {
				sum += item
			}
			sums <- sum
		}()
	}
	producers.Wait()
	close(channel)
	answer := int64(0)
	for side := 0; side < sides; side++ {
		answer += <-sums
	}
	support.Report("channel", *items, answer, *items*(*items+1)/2, time.Since(started), "")
}
