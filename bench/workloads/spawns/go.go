// spawns on Go: each goroutine writes its result into a place of its own.
package main

import (
	"sync"
	"time"

	"bench/support"
)

func startAll(tasks int64) int64 {
	results := make([]int64, tasks)
	var group sync.WaitGroup
	group.Add(int(tasks))
	for index := int64(0); index < tasks; index++ {
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
	return answer
}

func main() {
	tasks := support.Number("tasks", 1_000_000, "how many")
	rounds := support.Number("rounds", 1, "how often")
	support.Parse()
	started := time.Now()
	answer := int64(0)
	for round := int64(0); round < *rounds; round++ {
		answer += startAll(*tasks)
	}
	rest := *tasks % 10
	expected := *tasks/10*45 + rest*(rest-1)/2
	support.Report("spawns", *rounds**tasks, answer, *rounds*expected, time.Since(started), "")
}
