// sleepers on Go: a goroutine each.
package main

import (
	"sync"
	"sync/atomic"
	"time"

	"bench/support"
)

func main() {
	tasks := support.Number("tasks", 1000, "how many")
	shortest := support.Number("ms", 10, "shortest delay, the longest is twice it")
	support.Parse()
	started := time.Now()
	var woken atomic.Int64
	var group sync.WaitGroup
	group.Add(int(*tasks))
	for index := int64(0); index < *tasks; index++ {
		go func(delay time.Duration) {
			time.Sleep(delay)
			woken.Add(1)
			group.Done()
		}(time.Duration(*shortest)*time.Millisecond + time.Duration(*shortest*index*1_000_000 / *tasks))
	}
	group.Wait()
	support.Report("sleepers", *tasks, woken.Load(), *tasks, time.Since(started), "")
}
