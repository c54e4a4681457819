//go:build unix

package launcher

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/ensure/watch"
)

// A signal of ours is the program's, for as long as it runs.
func TestForward(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		r.Read(make([]byte, 100))
		syscall.Kill(os.Getpid(), syscall.SIGUSR1)
		io.Copy(io.Discard, r)
	}()
	const script = `trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done`
	c := Config{Program: "sh", Args: []string{"-c", script}}
	if code, err := Run(t.Context(), c, Child{Stdout: w, Forward: true}); code != 9 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
}

// The watch is on while the program runs, and no longer.
func TestWatch(t *testing.T) {
	server := epmdtest.New(t)
	events := make(chan watch.Event, 10)
	while := func(ctx context.Context) {
		epmd := ensure.Config{Port: server.Port(), Program: "/no/such/epmd"}
		watch.Run(ctx, epmd, func(e watch.Event) { events <- e })
	}
	time.AfterFunc(100*time.Millisecond, server.Close)
	c := Config{Program: "sleep", Args: []string{"2"}}
	if code, err := Run(t.Context(), c, Child{While: while}); code != 0 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	var e *ensure.Error
	if !errors.As((<-events).Err, &e) || e.Kind != ensure.KindNotFound {
		t.Errorf("%v", e)
	}
	epmdtest.Listen(t, server.Addr().String())
	select {
	case e := <-events:
		t.Errorf("after the program's end it is told: %+v", e)
	case <-time.After(2 * time.Second):
	}
}

// What runs beside the program and never returns does not hold up its end.
func TestRunEndsBesideWhile(t *testing.T) {
	busy := make(chan bool, 1)
	while := func(context.Context) { busy <- true; select {} }
	begin := time.Now()
	c := Config{Program: "sleep", Args: []string{"1"}}
	if code, err := Run(t.Context(), c, Child{While: while}); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	if over := time.Since(begin) - time.Second; over > 500*time.Millisecond {
		t.Errorf("it ended %v after its program", over)
	}
	if len(busy) == 0 {
		t.Error("it did not run")
	}
}
