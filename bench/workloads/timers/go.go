// timers on Go: AfterFunc() and Stop().
package main

import (
	"runtime"
	"time"

	"bench/support"
)

func main() {
	outstanding := support.Number("outstanding", 10_000, "timers that are set")
	operations := support.Number("operations", 1_000_000, "timers that are cancelled and set anew")
	support.Parse()
	wrong := int64(0)
	set := func(number int64) *time.Timer {
		delay := time.Hour + time.Duration(uint64(number)*2_654_435_761%3_600_000_000)*time.Microsecond
		return time.AfterFunc(delay, func() { wrong++ })
	}
	timers := make([]*time.Timer, *outstanding)
	for number := range timers {
		timers[number] = set(int64(number))
	}
	started := time.Now()
	for number := int64(0); number < *operations; number++ {
		oldest := number % *outstanding
		if !timers[oldest].Stop() {
			wrong++
		}
		timers[oldest] = set(*outstanding + number)
		if number%64 == 0 {
			runtime.Gosched()
		}
	}
	support.Report("timers", *operations, wrong, 0, time.Since(started), "")
}
