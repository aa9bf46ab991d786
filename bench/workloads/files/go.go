// files on Go: ReadAt() from as many goroutines.
package main

import (
	"encoding/binary"
	"os"
	"time"

	"bench/support"
)

const block, blocks = 4096, 4096

func blockOf(number int64) int64 { return int64(uint64(number) * 2_654_435_761 % blocks) }

func makeFile() *os.File {
	file, err := os.CreateTemp("", "knit-bench-")
	if err != nil {
		panic(err)
	}
	_ = os.Remove(file.Name())
	for number := uint64(0); number < blocks; number++ {
		content := make([]byte, block)
		binary.LittleEndian.PutUint64(content, number)
		_, _ = file.Write(content)
	}
	return file
}

func main() {
	reads := support.Number("reads", 200_000, "how many")
	tasks := support.Number("tasks", 64, "goroutines that read")
	support.Parse()
	file := makeFile()
	started := time.Now()
	sums := make(chan int64)
	for first := int64(0); first < *tasks; first++ {
		go func(first int64) {
			content, sum := make([]byte, block), int64(0)
			for number := first; number < *reads; number += *tasks {
				if count, _ := file.ReadAt(content, blockOf(number)*block); count != block {
					sum--
					continue
				}
				sum += int64(binary.LittleEndian.Uint64(content))
			}
			sums <- sum
		}(first)
	}
	answer, expected := int64(0), int64(0)
	for first := int64(0); first < *tasks; first++ {
		answer += <-sums
	}
	taken := time.Since(started)
	for number := int64(0); number < *reads; number++ {
		expected += blockOf(number)
	}
	support.Report("files", *reads, answer, expected, taken, "")
}
