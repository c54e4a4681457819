package testenv

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/owner"
)

// below the ephemeral ports of Linux, macOS and Windows, so that no connection takes one by chance
const firstPort, ports = 20000, 12000

var next atomic.Int64

// Port returns a port on which nothing listens, and which no other test gets from it meanwhile, of
// this process or of another one. When the test ends, the epmd that listens there is ended too, by
// its pid; a port that is still taken then fails the test.
//
// Where the environment has no BEAMRUN_DETACH, Port sets it to "session", for the test and the
// programs that it starts: else systemd would run the epmd of a test in a service, such as a CI
// runner, and start it again when the test ends it.
func Port(t testing.TB) uint16 {
	t.Helper()
	if os.Getenv("BEAMRUN_DETACH") == "" {
		os.Setenv("BEAMRUN_DETACH", "session") // not t.Setenv, for the test may be parallel
	}
	for range ports {
		port := uint16(firstPort + (int64(os.Getpid())*131+next.Add(1))%ports)
		// A name that one process at a time can have, without a file, see unix(7). So two processes
		// that test at once don't take each other's ports, which are free before the test's epmd
		// starts.
		reserved, err := net.Listen("unix", fmt.Sprintf("@beamrun-test-port-%d", port))
		if err != nil {
			continue
		}
		if isFree(port) {
			t.Cleanup(func() {
				Kill(t, port)
				reserved.Close()
			})
			return port
		}
		reserved.Close()
	}
	t.Fatal("no free port")
	return 0
}

// Kill ends the program that listens on port, which has to be one that the test got from [Port],
// and waits until the port is free.
func Kill(t testing.TB, port uint16) {
	t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if p, ok := owner.OfPort(port); ok {
			if p.PID == os.Getpid() {
				t.Errorf("the test itself still listens on port %d", port)
				return
			}
			syscall.Kill(p.PID, syscall.SIGKILL)
		} else if isFree(port) {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("port %d is still taken", port)
}

// PID returns the pid of the program that listens on port, 0 when there is none. On a busy machine
// it looks again and again: one look ends after a quarter of a second.
func PID(port uint16) int {
	for end := time.Now().Add(Patience); ; time.Sleep(time.Millisecond) {
		p, ok := owner.OfPort(port)
		if ok || len(owner.Listening(port)) == 0 || time.Now().After(end) {
			return p.PID
		}
	}
}

// Counting makes a program that writes down each start of it and then becomes the epmd on PATH. It
// returns its path, and the count so far.
func Counting(t testing.TB) (program string, starts func() int) {
	t.Helper()
	epmd, err := exec.LookPath("epmd")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, log := filepath.Join(dir, "epmd"), filepath.Join(dir, "starts")
	text := fmt.Sprintf("#!/bin/sh\necho >>'%s'\nexec '%s' \"$@\"\n", log, epmd)
	if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func() int {
		text, _ := os.ReadFile(log) // none before the first start
		return bytes.Count(text, []byte("\n"))
	}
}

func isFree(port uint16) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			conn.Close()
			return false
		}
	}
	return true
}

// Register holds a name at the epmd, as a hidden node (ALIVE2_REQ), until the test ends.
func Register(t testing.TB, addr, name string, port uint16) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	req := []byte{0, 0, 'x', byte(port >> 8), byte(port), 72, 0, 0, 6, 0, 5, 0, byte(len(name))}
	req = append(append(req, name...), 0, 0)
	req[1] = byte(len(req) - 2)
	conn.Write(req)
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if reply, err := bufio.NewReader(conn).ReadByte(); err != nil || reply != 'y' && reply != 'v' {
		t.Fatalf("ALIVE2: %q, %v", reply, err)
	}
}

// PrivateEpmd gives the test a home directory of its own and an environment that names no epmd. It
// returns a port for one, see [Port].
func PrivateEpmd(t testing.TB) uint16 {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	for _, key := range []string{
		"XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS",
	} {
		t.Setenv(key, "")
	}
	return Port(t)
}
