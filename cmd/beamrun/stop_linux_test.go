package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Twenty at once, five times: each is content, one has done it, and nothing listens then.
func TestTwentyStops(t *testing.T) {
	for range 5 {
		h := newHost(t)
		h.run("beamrun", "ensure")
		const n = 20
		var outs [n]string
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() { outs[i] = h.run("beamrun", "stop") })
		}
		wg.Wait()
		all := strings.Join(outs[:], "")
		if done, not := strings.Count(all, ": stopped, in "), strings.Count(all, ": not running\n"); done != 1 || done+not != n {
			t.Errorf("%d have stopped it, for %d it was not running:\n%s", done, not, all)
		}
		if pid := testenv.PID(h.port); pid != 0 {
			t.Errorf("process %d listens still", pid)
		}
	}
}

// What does not answer as an epmd is not asked to end.
func TestStopHungAndForeign(t *testing.T) {
	h := newHost(t)
	h.run("beamrun", "ensure")
	pid := testenv.PID(h.port)
	syscall.Kill(pid, syscall.SIGSTOP)
	refused(t, h, exitNoEpmd, ": hung: ", "stop", "--timeout", "500ms")
	syscall.Kill(pid, syscall.SIGCONT)
	if now := testenv.PID(h.port); now != pid {
		t.Errorf("process %d instead of %d", now, pid)
	}
	h.run("beamrun", "stop")

	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", h.port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("220 smtp\r\n"))
			c.Close()
		}
	}()
	refused(t, h, exitNoEpmd, ": foreign: ", "stop")
}

// Many nodes; one that would end with nodes registered; one that says no although it has no names,
// as in the moment when a node ends; and one in whose place another is up at once.
func TestStopRaces(t *testing.T) {
	server := epmdtest.New(t)
	h := &host{t, t.TempDir(), server.Port()}
	for i := range 21 {
		server.Register(fmt.Sprintf("n%02d", i), uint16(1+i))
	}
	refused(t, h, exitFailed, "nodes-registered: n20 (port 21), n19 (port 20), ", "stop")
	refused(t, h, exitFailed, ", n01 (port 2), and 1 more\n", "stop")
	server.SetFaults(epmdtest.Relaxed)
	refused(t, h, exitFailed, "nodes-registered", "stop")

	// no epmd does these: one that has no names and says no, and one that says yes and stays
	for reply, want := range map[string]string{
		"NO": ": refused: it did not end, for a node was registered, which is gone by now\nhint: try again: beamrun stop\n",
		"OK": ": timeout: it agreed to end, and somebody still listens there\nhint: something starts it again: ",
	} {
		code := map[string]int{"NO": exitFailed, "OK": exitNoEpmd}[reply]
		refused(t, &host{t, t.TempDir(), uint16(stubborn(t, reply))}, code, want, "stop", "--timeout", "600ms")
	}
}

// stubborn is an epmd without names that replies so to KILL, and goes on. It returns its port.
func stubborn(t *testing.T, reply string) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 3)
			if io.ReadFull(c, request); request[2] == 'k' {
				io.WriteString(c, reply)
			} else {
				c.Write(binary.BigEndian.AppendUint32(nil, uint32(port)))
			}
			c.Close()
		}
	}()
	return port
}

// refused runs beamrun, which has to end with that code and say that.
func refused(t *testing.T, h *host, code int, says string, args ...string) {
	t.Helper()
	begin := time.Now()
	cmd := h.command("beamrun", args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), says) {
		t.Errorf("%q: %v, %s", args, err, out)
	}
	if d := time.Since(begin); d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
}
