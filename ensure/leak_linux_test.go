package ensure_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// resources are what a process holds. heap is the part of its memory that is in use.
type resources struct{ goroutines, descriptors, kilobytes, heap int }

func measure(t *testing.T) resources {
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
	return resources{runtime.NumGoroutine(), len(fds), kb, int(mem.HeapAlloc / 1024)}
}

// settled measures once what ends by itself has ended: when there is no more than before, or after 2 s.
func settled(t *testing.T, before resources) (now resources) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
		now = measure(t)
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors || time.Now().After(deadline) {
			return now
		}
	}
}

// Of 100,000 calls with an epmd up nothing stays.
func TestWarmCallsLeaveNothing(t *testing.T) {
	srv := epmdtest.New(t)
	c := setup(t)
	c.Port = srv.Port()
	call := func(n int) {
		for range n {
			if _, err := ensure.Epmd(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
	}
	call(10_000)
	before := measure(t)
	call(90_000)
	after := settled(t, before)
	t.Logf("after 10,000 calls %+v, after 100,000 %+v", before, after)
	if after.goroutines > before.goroutines || after.descriptors > before.descriptors || after.heap > before.heap+512 {
		t.Error("something stays")
	}
	if !raceDetector && after.kilobytes > before.kilobytes+2048 { // its own memory grows
		t.Error("memory stays")
	}
}

// Of a failed call nothing stays, whatever the fault. Of one that started the daemon there stays, until the daemon ends,
// the goroutine that waits for that.
func TestOtherCallsLeaveNothing(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	c.Timeout = 50 * time.Millisecond
	check := func(what string, call func()) {
		t.Helper()
		call() // what is made once, such as the runtime's poller
		before := measure(t)
		for range 5 {
			call()
		}
		if after := settled(t, before); after.goroutines > before.goroutines || after.descriptors > before.descriptors {
			t.Errorf("%s: before %+v, after %+v", what, before, after)
		}
	}
	fail := func() {
		if res, err := ensure.Epmd(t.Context(), c); err == nil {
			t.Errorf("no fault: %+v", res)
		}
	}
	for name, fault := range map[string]epmdtest.Fault{"silent": epmdtest.Silent, "garbage": epmdtest.Garbage, "flood": epmdtest.Flood, "reset": epmdtest.Reset} {
		srv := epmdtest.Listen(t, fmt.Sprintf("127.0.0.1:%d", c.Port), fault)
		check(name, fail)
		srv.Close()
	}
	for name, body := range map[string]string{"dies": "exit 1", "is silent": "sleep 60"} {
		c.Program = script(t, body)
		check("an epmd that "+name, fail)
	}
	c.Program = filepath.Join(t.TempDir(), "none")
	check("no epmd", fail)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check("canceled", func() { ensure.Epmd(ctx, c) })

	c.Program, c.Timeout = "", 0
	pid := 0
	check("an epmd that was killed, and is started again", func() {
		pid = mustEnsure(t, c).PID
		signal(t, pid, syscall.SIGKILL)
		for len(stat(pid)) > 0 {
			time.Sleep(time.Millisecond)
		}
	})
	before := settled(t, resources{})
	mustEnsure(t, c)
	before.goroutines++
	if after := settled(t, before); after.goroutines != before.goroutines || after.descriptors > before.descriptors {
		t.Errorf("a daemon was started: before, with one more goroutine, %+v, after %+v", before, after)
	}
}
