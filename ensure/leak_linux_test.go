package ensure_test

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

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
	before := testenv.Measure(t)
	call(90_000)
	after := testenv.Settled(t, before)
	t.Logf("after 10,000 calls %+v, after 100,000 %+v", before, after)
	if after.Goroutines > before.Goroutines || after.Descriptors > before.Descriptors ||
		after.Heap > before.Heap+512 {
		t.Error("something stays")
	}
	if !raceDetector && after.Kilobytes > before.Kilobytes+2048 { // its own memory grows
		t.Error("memory stays")
	}
}

// Of a failed call nothing stays, whatever the fault. Of one that started the daemon there stays,
// until the daemon ends, the goroutine that waits for that.
func TestOtherCallsLeaveNothing(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	c.Timeout = 50 * time.Millisecond
	check := func(what string, call func()) {
		t.Helper()
		call() // what is made once, such as the runtime's poller
		before := testenv.Measure(t)
		for range 5 {
			call()
		}
		after := testenv.Settled(t, before)
		if after.Goroutines > before.Goroutines || after.Descriptors > before.Descriptors {
			t.Errorf("%s: before %+v, after %+v", what, before, after)
		}
	}
	fail := func() {
		if res, err := ensure.Epmd(t.Context(), c); err == nil {
			t.Errorf("no fault: %+v", res)
		}
	}
	for name, fault := range map[string]epmdtest.Fault{
		"silent": epmdtest.Silent, "garbage": epmdtest.Garbage,
		"flood": epmdtest.Flood, "reset": epmdtest.Reset,
	} {
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
		testenv.Signal(t, pid, syscall.SIGKILL)
		for len(testenv.Stat(pid)) > 0 {
			time.Sleep(time.Millisecond)
		}
	})
	before := testenv.Settled(t, testenv.Resources{})
	mustEnsure(t, c)
	before.Goroutines++
	after := testenv.Settled(t, before)
	if after.Goroutines != before.Goroutines || after.Descriptors > before.Descriptors {
		t.Errorf("a daemon was started: before, with one more goroutine, %+v, after %+v",
			before, after)
	}
}
