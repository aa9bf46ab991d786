// spawns on Go: each goroutine writes its result into a place of its own.
package main

import (
	"sync"
	"time"

	"bench/support"
)

func main() {
	tasks := support.Number("tasks", 1_000_000, "how many")
	support.Parse()
	started := time.Now()
	results := make([]int64, *tasks)
	var group sync.WaitGroup
	group.Add(int(*tasks))
	for index := int64(0); index < *tasks; index++ {
		go func(index int64) {
			results[index] = index % 10
			group.Done()
		}(index)
	}
	group.Wait()
	answer := int64(0)
	for _, result := range results {
		answer += result
	}
	rest := *tasks % 10
	support.Report("spawns", *tasks, answer, *tasks/10*45+rest*(rest-1)/2, time.Since(started), "")
}
