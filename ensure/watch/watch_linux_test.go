package watch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/ensure/watch"
	"github.com/beamrun/beamrun/internal/testenv"
)

// mustEnsure is a call of Epmd that has to succeed.
func mustEnsure(t testing.TB, c ensure.Config) ensure.Result {
	t.Helper()
	res, err := ensure.Epmd(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// startWatch watches until the test ends, and returns what it tells.
func startWatch(t *testing.T, c ensure.Config) <-chan watch.Event {
	t.Helper()
	events := make(chan watch.Event, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		watch.Run(ctx, c, func(e watch.Event) { events <- e })
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			t.Error("the watch does not end")
		}
	})
	return events
}

// next is the next event, which has to come in time.
func next(t *testing.T, events <-chan watch.Event, within time.Duration) watch.Event {
	t.Helper()
	begin := time.Now()
	select {
	case e := <-events:
		t.Logf("after %v: started %v, error %v, lost %v", time.Since(begin), e.Result.Started, e.Err, e.Lost)
		return e
	case <-time.After(within):
		t.Fatalf("nothing was told within %v", within)
		return watch.Event{}
	}
}

func none(t *testing.T, events <-chan watch.Event, d time.Duration) {
	t.Helper()
	select {
	case e := <-events:
		t.Fatalf("told: %+v", e)
	case <-time.After(d):
	}
}

const (
	second = time.Second     // the promise
	busy   = 3 * time.Second // the same on a machine with much else to do
)

func TestWatch(t *testing.T) {
	testenv.Need(t, "epmd")
	c := ensure.Config{Port: testenv.PrivateEpmd(t)}
	first := mustEnsure(t, c)
	events := startWatch(t, c)
	none(t, events, second)

	testenv.Signal(t, first.PID, syscall.SIGKILL)
	e := next(t, events, second/2) // at once: it is not due to be looked at yet
	if e.Err != nil || !e.Result.Started {
		t.Fatalf("after its end: %+v", e)
	}
	if _, err := epmd.Names(t.Context(), first.Address); err != nil {
		t.Error(err)
	}

	// one after another: none is missed, and none is started much more often than once a second
	for begin, n := time.Now(), 1; n <= 3; n++ {
		testenv.Signal(t, e.Result.PID, syscall.SIGKILL)
		if e = next(t, events, busy); e.Err != nil || !e.Result.Started {
			t.Fatalf("after end %d: %+v", n, e)
		}
		if min := time.Duration(n-1) * 700 * time.Millisecond; time.Since(begin) < min {
			t.Errorf("%d starts within %v", n, time.Since(begin))
		}
	}

	testenv.Signal(t, e.Result.PID, syscall.SIGSTOP)
	if e := next(t, events, busy); e.Err != nil || e.Result.Started {
		t.Fatalf("stopped: %+v", e)
	}
	if state := testenv.Stat(e.Result.PID)[0]; state == "T" {
		t.Error("it is still stopped")
	}

	// replaced before anybody could look
	testenv.Signal(t, e.Result.PID, syscall.SIGKILL)
	other := exec.Command("epmd", "-port", strconv.Itoa(int(c.Port)))
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { other.Process.Kill(); other.Wait() }()
	if e := next(t, events, busy); e.Err != nil {
		t.Fatalf("replaced: %+v", e)
	}
	none(t, events, second)
}

// What the watch can't mend it tells of once, and goes on.
func TestWatchForeign(t *testing.T) {
	testenv.Need(t, "epmd")
	c := ensure.Config{Port: testenv.PrivateEpmd(t)}
	c.Timeout = 300 * time.Millisecond
	other := epmdtest.Listen(t, fmt.Sprintf("127.0.0.1:%d", c.Port), epmdtest.Garbage)
	events := startWatch(t, c)
	var failed *ensure.Error
	if e := next(t, events, busy); !errors.As(e.Err, &failed) || failed.Kind != ensure.KindForeign {
		t.Fatalf("%+v", e)
	}
	none(t, events, 2*time.Second)
	other.Close()
	if e := next(t, events, 5*time.Second); e.Err != nil || !e.Result.Started {
		t.Fatalf("afterwards: %+v", e)
	}
}

// A node that runs and has lost its name is told of once; one that has ended, or comes back, is
// not.
func TestWatchNames(t *testing.T) {
	server := epmdtest.New(t)
	listen := func() (net.Listener, int) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l, l.Addr().(*net.TCPAddr).Port
	}
	_, alice := listen()
	ended, bob := listen()
	_, carol := listen()
	for name, port := range map[string]int{"alice": alice, "bob": bob, "carol": carol} {
		server.Register(name, uint16(port))
	}
	events := startWatch(t, ensure.Config{Port: server.Port()})
	none(t, events, second)
	ended.Close()
	for _, name := range []string{"alice", "bob", "carol"} {
		server.Unregister(name)
	}
	time.Sleep(7 * time.Second) // it has been missed by now
	server.Register("carol", uint16(carol))
	e := next(t, events, 13*time.Second)
	// it is no node that could be told to register
	if want := (epmd.Node{Name: "alice", Port: uint16(alice)}); e.Err != nil || len(e.Lost) != 1 || e.Lost[0].Node != want || e.Lost[0].Err == nil {
		t.Errorf("%+v, want %v", e, want)
	}
	none(t, events, 3*time.Second)
}

// Nodes that come back to each new epmd are not lost, however often it is killed.
func TestWatchNamesOfKilledOnes(t *testing.T) {
	testenv.Need(t, "epmd")
	c := ensure.Config{Port: testenv.PrivateEpmd(t)}
	res := mustEnsure(t, c)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	testenv.Register(t, res.Address.String(), "alice", uint16(port))
	events := startWatch(t, c)
	none(t, events, 3*second/2) // the watch has seen the name
	for range 7 {               // between two looks each time
		testenv.Signal(t, testenv.PID(c.Port), syscall.SIGKILL)
		if e := next(t, events, busy); e.Lost != nil || !e.Result.Started {
			t.Fatalf("%+v", e)
		}
		time.Sleep(1200 * time.Millisecond)
		testenv.Register(t, res.Address.String(), "alice", uint16(port))
	}
	none(t, events, 2*second)
}

// A slow epmd is no dead one.
func TestWatchSlow(t *testing.T) {
	server := epmdtest.New(t, epmdtest.Slow(200*time.Millisecond))
	events := startWatch(t, ensure.Config{Port: server.Port()})
	none(t, events, 3*time.Second)
}

// The end of the context ends it, whatever it waits for, and nothing of it stays.
func TestWatchEnds(t *testing.T) {
	testenv.Need(t, "epmd")
	c := ensure.Config{Port: testenv.PrivateEpmd(t)}
	silent := epmdtest.New(t, epmdtest.Silent)
	mustEnsure(t, c)
	before := testenv.Settled(t, testenv.Resources{})
	for _, c := range []ensure.Config{c, {Port: silent.Port()}, {Port: c.Port, Program: "/no/such/epmd", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.9")}}} {
		for _, d := range []time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond, 900 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			begin := time.Now()
			watch.Run(ctx, c, nil)
			cancel()
			if late := time.Since(begin) - d; late > 500*time.Millisecond {
				t.Errorf("%+v: it ended %v after the context", c, late)
			}
		}
	}
	if after := testenv.Settled(t, before); after.Goroutines > before.Goroutines || after.Descriptors > before.Descriptors {
		t.Errorf("%+v became %+v", before, after)
	}
}

// One that answers, but whose list of names is none, is told of once, and so is its return.
func TestWatchGarbledNames(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	var fine atomic.Bool
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var request [16]byte
				if n, _ := c.Read(request[:]); n > 2 && request[2] != 'n' {
					c.Write([]byte("w\x01"))
					return
				}
				c.Write([]byte{0, 0, byte(port >> 8), byte(port)})
				if !fine.Load() {
					fmt.Fprintf(c, "name %s at port 1\n", strings.Repeat("x", 256))
				}
			}()
		}
	}()
	events := startWatch(t, ensure.Config{Port: uint16(port)})
	var failed *ensure.Error
	if e := next(t, events, busy); !errors.As(e.Err, &failed) || failed.Kind != ensure.KindForeign || !errors.Is(e.Err, epmd.ErrNotEpmd) {
		t.Fatalf("%+v", e)
	}
	none(t, events, 6*time.Second)
	fine.Store(true)
	if e := next(t, events, 6*time.Second); e.Err != nil || e.Result.Address.Port() != uint16(port) {
		t.Fatalf("%+v", e)
	}
}
