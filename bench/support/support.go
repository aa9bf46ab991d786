// Package support: options, the line of figures and the server's frame for the Go peers, as in args.hpp and report.hpp.
package support

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var loops = flag.Int("loops", runtime.NumCPU(), "threads that run goroutines")

// Number is a whole-number option; Parse has to follow.
func Number(name string, fallback int64, help string) *int64 { return flag.Int64(name, fallback, help) }

// Parse reads the options and limits Go to the threads asked for.
func Parse() int {
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "error: unknown argument", flag.Arg(0))
		os.Exit(2)
	}
	runtime.GOMAXPROCS(*loops)
	return *loops
}

func usage() (user, system, rss int64) {
	var used syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &used)
	// Not Maxrss, which begins with what the process that started this one held.
	status, _ := os.ReadFile("/proc/self/status")
	if _, text, found := strings.Cut(string(status), "VmHWM:"); found {
		_, _ = fmt.Sscan(text, &rss)
	}
	return used.Utime.Sec*1_000_000 + used.Utime.Usec, used.Stime.Sec*1_000_000 + used.Stime.Usec, rss
}

// Report prints the line of a workload and ends the process, with status 1 when the answer is wrong.
func Report(name string, tasks, answer, expected int64, taken time.Duration, more string) {
	user, system, rss := usage()
	fmt.Printf("workload=%s loops=%d seconds=%.6f tasks=%d ns_per_task=%.2f answer=%d cpu_seconds=%.6f max_rss_kib=%d%s\n",
		name, *loops, taken.Seconds(), tasks, float64(taken.Nanoseconds())/float64(tasks), answer,
		float64(user+system)*1e-6, rss, more)
	if answer != expected {
		fmt.Fprintf(os.Stderr, "error: %s: the answer is %d, it should be %d\n", name, answer, expected)
		os.Exit(1)
	}
	os.Exit(0)
}

// Requests counts what a server has answered.
var Requests atomic.Int64

// ServeUntilStopped says on which port the server listens, waits for SIGTERM and prints what the server has used.
func ServeUntilStopped(port int) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	fmt.Printf("listening %d\n", port)
	<-stop
	user, system, rss := usage()
	fmt.Printf("user_us=%d system_us=%d max_rss_kib=%d requests=%d\n", user, system, rss, Requests.Load())
	os.Exit(0)
}
