//go:build unix

package launcher

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmdtest"
)

// A signal of ours is the program's, for as long as it runs.
func TestForward(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		r.Read(make([]byte, 100))
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		io.Copy(io.Discard, r)
	}()
	c := Config{Program: "sh", Args: []string{"-c", `trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done`}, Stdout: w, Forward: true}
	if code, err := Run(t.Context(), c); code != 9 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// The watch is on while the program runs, and no longer.
func TestWatch(t *testing.T) {
	server := epmdtest.New(t)
	events := make(chan ensure.Event, 10)
	c := Config{Program: "sleep", Args: []string{"2"}, Watch: &ensure.Watch{
		Config: ensure.Config{Port: server.Port(), Program: "/no/such/epmd"},
		Notify: func(e ensure.Event) { events <- e },
	}}
	time.AfterFunc(100*time.Millisecond, server.Close)
	if code, err := Run(t.Context(), c); code != 0 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	var e *ensure.Error
	if !errors.As((<-events).Err, &e) || e.Kind != ensure.KindNotFound {
		t.Errorf("%v", e)
	}
	epmdtest.Listen(t, server.Addr())
	select {
	case e := <-events:
		t.Errorf("after the program's end it is told: %+v", e)
	case <-time.After(2 * time.Second):
	}
}

// A Watch that is busy, here with a Notify that never returns, does not hold up the end of the program.
func TestRunEndsBesideItsWatch(t *testing.T) {
	l := epmdtest.Listen(t, "127.0.0.1:0", epmdtest.Garbage)
	told := make(chan bool, 1)
	w := &ensure.Watch{Config: ensure.Config{Port: l.Port()}, Notify: func(ensure.Event) { told <- true; select {} }}
	begin := time.Now()
	if code, err := Run(t.Context(), Config{Program: "sleep", Args: []string{"1"}, Watch: w}); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	if over := time.Since(begin) - time.Second; over > 500*time.Millisecond {
		t.Errorf("it ended %v after its program", over)
	}
	if len(told) == 0 {
		t.Error("the Watch was not busy")
	}
}
