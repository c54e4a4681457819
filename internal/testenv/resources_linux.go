package testenv

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Resources are what a process holds. Heap is the part of its memory that is in use.
type Resources struct{ Goroutines, Descriptors, Kilobytes, Heap int }

// Measure returns those of this process.
func Measure(t *testing.T) Resources {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rss)[0])
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return Resources{runtime.NumGoroutine(), len(fds), kb, int(mem.HeapAlloc / 1024)}
}

// Settled measures once what ends by itself has ended: when there is no more than before, or after
// 2 s.
func Settled(t *testing.T, before Resources) (now Resources) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		now = Measure(t)
		isSettled := now.Goroutines <= before.Goroutines && now.Descriptors <= before.Descriptors
		if isSettled || time.Now().After(deadline) {
			return now
		}
	}
}
