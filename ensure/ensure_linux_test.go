package ensure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/statedir"
	"github.com/beamrun/beamrun/internal/testenv"
)

// setup gives the test a home directory of its own and a private port.
func setup(t testing.TB) ensure.Config {
	t.Helper()
	return ensure.Config{Port: testenv.PrivateEpmd(t)}
}

// mustEnsure is a call of Epmd that has to succeed.
func mustEnsure(t testing.TB, c ensure.Config) ensure.Result {
	t.Helper()
	res, err := ensure.Epmd(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Warnings) > 0 {
		t.Errorf("warnings: %q", res.Warnings)
	}
	return res
}

// mustFail is a call of Epmd that has to fail with an error of that kind, and to leave no process
// of ours.
func mustFail(t *testing.T, c ensure.Config, kind ensure.Kind) *ensure.Error {
	t.Helper()
	_, err := ensure.Epmd(t.Context(), c)
	var e *ensure.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("error %v, want one of the kind %s", err, kind)
	}
	if pids := childrenOf(os.Getpid()); len(pids) > 0 {
		t.Errorf("child processes are left: %v", pids)
	}
	return e
}

// script makes a shell script that takes the place of epmd.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "epmd")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// children lists those of this process, once all that ended are reaped.
func children(t *testing.T) (pids []int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		zombies := false
		pids = childrenOf(os.Getpid())
		for _, pid := range pids {
			if s := testenv.Stat(pid); len(s) == 0 || s[0] == "Z" {
				zombies = true
			}
		}
		if !zombies {
			return pids
		}
		if time.Now().After(deadline) {
			t.Errorf("zombies among %v", pids)
			return pids
		}
	}
}

// childrenOf lists the children of a process, zombies too.
func childrenOf(parent int) (pids []int) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range procs {
		pid, _ := strconv.Atoi(filepath.Base(p))
		if s := testenv.Stat(pid); len(s) > 1 && s[1] == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestColdAndWarm(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	if _, err := ensure.Probe(t.Context(), c); err.(*ensure.Error).Kind != ensure.KindDown {
		t.Errorf("Probe before: %v", err)
	}
	t.Setenv("RELEASE_COOKIE", "marker-cookie")
	t.Setenv("BEAMRUN_SECRET", "marker-secret")
	res := mustEnsure(t, c)
	if !res.Started || res.PID == 0 || res.PID != testenv.PID(c.Port) ||
		res.Detach != "session" || filepath.Base(res.Program) != "epmd" {
		t.Errorf("%+v, but pid %d listens", res, testenv.PID(c.Port))
	}
	want := fmt.Sprintf("127.0.0.1:%d", c.Port)
	if res.Address.String() != want || res.Endpoint.String() != want {
		t.Errorf("%+v, want address %s", res, want)
	}

	s := testenv.Stat(res.PID)
	if pid := strconv.Itoa(res.PID); s[2] != pid || s[3] != pid {
		t.Errorf("process group %s and session %s of pid %s are not its own", s[2], s[3], pid)
	}
	if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", res.PID)); cwd != "/" {
		t.Errorf("its working directory is %s", cwd)
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", res.PID))
	if err != nil || bytes.Contains(environ, []byte("marker")) {
		t.Errorf("its environment is %q, %v", environ, err)
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", res.PID))
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		log := fmt.Sprintf("/.cache/beamrun/epmd-%d.log", c.Port)
		n, is := filepath.Base(fd), strings.HasPrefix(target, "socket:")
		switch n {
		case "0", "1":
			is = target == "/dev/null"
		case "2":
			is = strings.HasSuffix(target, log)
		}
		if !is {
			t.Errorf("its descriptor %s is %s", n, target)
		}
	}

	// once it answers, nothing is spawned and no file is touched
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PATH", "")
	if again := mustEnsure(t, c); again.Started || again.PID != 0 || again.Address != res.Address {
		t.Errorf("the second call: %+v", again)
	}
	if files, _ := os.ReadDir(home); len(files) > 0 {
		t.Errorf("the second call left %v", files)
	}
	if _, err := ensure.Probe(t.Context(), c); err != nil {
		t.Errorf("Probe after: %v", err)
	}

	// and when it dies while we live, no zombie is left
	testenv.Signal(t, res.PID, syscall.SIGKILL)
	testenv.Eventually(t, "it is no zombie", func() bool { return len(testenv.Stat(res.PID)) == 0 })
}

func TestHundredCallersStartOne(t *testing.T) {
	testenv.Need(t, "epmd")
	for range 10 {
		c := setup(t)
		program, starts := testenv.Counting(t)
		c.Program = program
		var wg sync.WaitGroup
		var mu sync.Mutex
		started := 0
		for range 100 {
			wg.Go(func() {
				res, err := ensure.Epmd(t.Context(), c)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := epmd.Names(t.Context(), res.Address); err != nil {
					t.Errorf("it returned, but: %v", err)
				}
				mu.Lock()
				defer mu.Unlock()
				if res.Started {
					started++
				}
			})
		}
		wg.Wait()
		if n := starts(); n != 1 || started != 1 {
			t.Errorf("%d epmds were spawned, and %d callers say that it was theirs", n, started)
		}
	}
}

// An inherited descriptor does not go on into the daemon, and is still there afterwards.
func TestInheritedDescriptor(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const high = 1500
	// no close-on-exec, as after inheritance
	if err := unix.Dup3(int(w.Fd()), high, 0); err != nil {
		t.Fatal(err)
	}
	w.Close()
	mustEnsure(t, c)
	if flags, err := unix.FcntlInt(high, unix.F_GETFD, 0); err != nil || flags != 0 {
		t.Errorf("descriptor %d afterwards: flags %d, %v", high, flags, err)
	}
	unix.Close(high)
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the pipe is still open in somebody: %d, %v", n, err)
	}
}

// Per Hedeland's note of 2000: the connections of registered nodes linger in TIME_WAIT when epmd is
// killed, and without SO_REUSEADDR a new one could not have the port for a minute.
func TestKilledWithNodesRegistered(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	res := mustEnsure(t, c)
	for i := range 20 {
		testenv.Register(t, res.Address.String(), fmt.Sprint("node", i), 4711)
	}
	if nodes, err := epmd.Names(t.Context(), res.Address); err != nil || len(nodes) != 20 {
		t.Fatalf("%d nodes, %v", len(nodes), err)
	}
	info, err := epmd.Lookup(t.Context(), res.Address, "node7")
	if err != nil || info.Name != "node7" || info.Port != 4711 ||
		!info.Hidden || info.Highest != 6 {
		t.Errorf("%+v, %v", info, err)
	}
	_, err = epmd.Lookup(t.Context(), res.Address, "nobody")
	if !errors.Is(err, epmd.ErrNotRegistered) {
		t.Error(err)
	}
	testenv.Signal(t, res.PID, syscall.SIGKILL)
	begin := time.Now()
	again := mustEnsure(t, c)
	if !again.Started || again.PID == res.PID {
		t.Errorf("%+v", again)
	}
	t.Logf("a new epmd answered %v after the kill", time.Since(begin))
}

func TestDaemonThatDies(t *testing.T) {
	c := setup(t)
	c.Program = script(t, "echo no luck today >&2; exit 3")
	e := mustFail(t, c, ensure.KindSpawn)
	if !strings.HasSuffix(e.Message(), "it ended with status 3 and printed: no luck today") {
		t.Error(e)
	}
	c.Program = script(t, "exit 0")
	e = mustFail(t, c, ensure.KindSpawn)
	if !strings.Contains(e.Message(), "status 0 and printed nothing") || e.Hint == "" {
		t.Error(e)
	}
	c.Program, c.Timeout = script(t, "sleep 60 & sleep 60"), 200*time.Millisecond
	if e := mustFail(t, c, ensure.KindTimeout); !errors.Is(e, context.DeadlineExceeded) {
		t.Error(e)
	}
	c.Timeout = 0
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err := ensure.Epmd(ctx, c)
	if !errors.As(err, &e) || e.Kind != ensure.KindCanceled || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if pids := childrenOf(os.Getpid()); len(pids) > 0 {
		t.Errorf("child processes are left: %v", pids)
	}
	c.Program = "/nonexistent/epmd"
	if e := mustFail(t, c, ensure.KindNotFound); !strings.Contains(e.Hint, "erlang") {
		t.Error(e)
	}
	c.Program = t.TempDir()
	mustFail(t, c, ensure.KindSpawn)
}

// The real epmd ends with status 0 and says nothing when another program has the port on one of its
// addresses.
func TestPortTakenElsewhere(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.2:%d", c.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := mustFail(t, c, ensure.KindForeign)
	if !strings.Contains(e.Message(), "has the port on another address") ||
		!strings.Contains(e.Message(), "status 0 and printed nothing") {
		t.Error(e)
	}
}

// Whose own epmd finds the port taken a moment after another one answered did not start it. (The
// script stands for both.)
func TestFasterOne(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	c.Program = script(t, `setsid epmd "$@" &
		until epmd "$@" -names >/dev/null; do :; done; sleep 0.01`)
	before := len(childrenOf(os.Getpid()))
	if res := mustEnsure(t, c); res.Started || res.PID != 0 {
		t.Errorf("%+v", res)
	}
	testenv.Eventually(t, "the one that lost ends",
		func() bool { return len(childrenOf(os.Getpid())) <= before })
}

func TestHung(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	res := mustEnsure(t, c)
	testenv.Signal(t, res.PID, syscall.SIGSTOP)
	c.Timeout = 100 * time.Millisecond // too short to tell: a busy one may need that long
	mustFailWithDaemon(t, c, ensure.KindTimeout)
	c.Timeout = 300 * time.Millisecond
	e := mustFailWithDaemon(t, c, ensure.KindHung)
	if !strings.Contains(e.Hint, fmt.Sprintf("kill -CONT %d", res.PID)) {
		t.Error(e)
	}
	testenv.Signal(t, res.PID, syscall.SIGCONT)
	c.Timeout = 0
	if res := mustEnsure(t, c); res.Started {
		t.Errorf("%+v", res)
	}
}

// mustFailWithDaemon is mustFail where an epmd of ours runs.
func mustFailWithDaemon(t *testing.T, c ensure.Config, kind ensure.Kind) *ensure.Error {
	t.Helper()
	before := len(childrenOf(os.Getpid()))
	_, err := ensure.Epmd(t.Context(), c)
	var e *ensure.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("error %v, want one of the kind %s", err, kind)
	}
	if after := len(childrenOf(os.Getpid())); after != before {
		t.Errorf("%d child processes became %d", before, after)
	}
	return e
}

func TestForeign(t *testing.T) {
	c := setup(t)
	c.Timeout = 300 * time.Millisecond
	for name, answer := range map[string]func(net.Conn){
		"HTTP": func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
			c.Close()
		},
		"silent":       func(net.Conn) {},
		"closes":       func(c net.Conn) { c.Close() },
		"resets":       func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() },
		"another port": func(c net.Conn) { c.Write([]byte{0, 0, 1, 1}); c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					defer conn.Close()
					conn.SetReadDeadline(time.Now().Add(time.Second))
					if name != "resets" {
						io.ReadFull(conn, make([]byte, 3))
					}
					answer(conn)
				}
			}()
			e := mustFail(t, c, ensure.KindForeign)
			if want := fmt.Sprintf("(pid %d)", os.Getpid()); !strings.Contains(e.Message(), want) {
				t.Errorf("%v does not name %s", e, want)
			}
		})
	}
}

// An epmd that just starts listens on [::] before it does on 127.0.0.1, where the nodes look for
// it.
func TestAddressByAddress(t *testing.T) {
	c := setup(t)
	six, err := net.Listen("tcp", fmt.Sprintf("[::1]:%d", c.Port))
	if err != nil {
		testenv.Skip(t, "no IPv6: "+err.Error())
	}
	defer six.Close()
	reply := func(l net.Listener, before func()) {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		io.ReadFull(conn, make([]byte, 3))
		before()
		conn.Write([]byte{0, 0, byte(c.Port >> 8), byte(c.Port)})
	}
	closed := make(chan struct{})
	go reply(six, func() {
		four, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", c.Port))
		if err != nil {
			t.Error(err)
			close(closed)
			return
		}
		go func() {
			defer close(closed)
			defer four.Close()
			reply(four, func() {})
		}()
	})
	if res := mustEnsure(t, c); res.Address.Addr().String() != "127.0.0.1" {
		t.Errorf("it vouches for %s", res.Address)
	}
	<-closed
}

func TestConfig(t *testing.T) {
	c := setup(t)
	t.Setenv("ERL_EPMD_PORT", "4711")
	t.Setenv("ERL_EPMD_ADDRESS", "10.0.0.5, ::1")
	e, err := ensure.Config{}.Resolve()
	got := strings.Join(e.Env(), " ")
	if err != nil || got != "ERL_EPMD_PORT=4711 ERL_EPMD_ADDRESS=10.0.0.5,::1" {
		t.Errorf("from the environment: %s, %v", got, err)
	}
	every := []netip.Addr{netip.IPv4Unspecified()}
	e, err = ensure.Config{Port: 99, Addresses: every}.Resolve()
	got = strings.Join(e.Env(), " ")
	if err != nil || got != "ERL_EPMD_PORT=99 ERL_EPMD_ADDRESS=0.0.0.0" ||
		e.String() != "127.0.0.1:99" {
		t.Errorf("from the fields: %s, %s, %v", got, e, err)
	}
	e, err = ensure.Config{Local: true}.Resolve()
	got = strings.Join(e.Env(), " ")
	if err != nil || got != "ERL_EPMD_PORT=4711 ERL_EPMD_ADDRESS=127.0.0.1" {
		t.Errorf("local: %s, %v", got, err)
	}
	loopback := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	mustFail(t, ensure.Config{Local: true, Addresses: loopback}, ensure.KindConfig)
	for _, bad := range []struct{ port, address string }{
		{"abc", ""}, {"0", ""}, {"65536", ""}, {"-1", ""},
		{"", "localhost"}, {"", "10.0.0.1,nope"}, {"", "fe80::1%eth0"},
	} {
		t.Setenv("ERL_EPMD_PORT", bad.port)
		t.Setenv("ERL_EPMD_ADDRESS", bad.address)
		mustFail(t, ensure.Config{}, ensure.KindConfig)
	}
	t.Setenv("ERL_EPMD_PORT", "")
	t.Setenv("ERL_EPMD_ADDRESS", "")
	for _, bad := range []netip.Addr{{}, netip.MustParseAddr("fe80::1%eth0")} {
		mustFail(t, ensure.Config{Port: c.Port, Addresses: []netip.Addr{bad}}, ensure.KindConfig)
	}
	// ERL_EPMD_PORT would override a node's own -epmd_port
	e, err = (ensure.Config{}).Resolve()
	if err != nil || e.Port != 4369 || !e.Implied || len(e.Env()) != 0 {
		t.Errorf("nobody chose: %+v, %q, %v", e, e.Env(), err)
	}
	e, err = (ensure.Config{Port: 4369}).Resolve()
	if err != nil || strings.Join(e.Env(), " ") != "ERL_EPMD_PORT=4369" {
		t.Errorf("chosen: %+v, %q, %v", e, e.Env(), err)
	}
}

// The address of the Config is the daemon's and the probe's.
func TestAddress(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	c.Addresses = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	res := mustEnsure(t, c)
	cmdline, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", res.PID))
	want := fmt.Sprintf("epmd\x00-port\x00%d\x00-address\x00127.0.0.1\x00", c.Port)
	if string(cmdline) != want {
		t.Errorf("%q, want %q", cmdline, want)
	}
	if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.2:%d", c.Port)); err == nil {
		conn.Close()
		t.Error("it listens on other addresses too")
	}
}

// Without a directory for the lock and the log there is a warning, and an epmd all the same.
func TestNoStateFolder(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	nowhere := filepath.Join(t.TempDir(), "missing", "folder")
	t.Setenv("HOME", nowhere)
	t.Setenv("TMPDIR", nowhere)
	res, err := ensure.Epmd(t.Context(), c)
	if err != nil || !res.Started || len(res.Warnings) != 1 ||
		res.Warnings[0].Kind != ensure.WarnNoDirectory ||
		!strings.HasPrefix(res.Warnings[0].Message, "no lock and no log") {
		t.Errorf("%+v, %v", res, err)
	}
}

// A planted link, or a directory that others can enter, is not used.
func TestStateFolderOfOthers(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	runtime, tmp := t.TempDir(), t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("TMPDIR", tmp)
	trap := t.TempDir()
	os.Symlink(trap, filepath.Join(runtime, "beamrun"))
	os.MkdirAll(filepath.Join(os.Getenv("HOME"), ".cache", "beamrun"), 0o755)
	mustEnsure(t, c)
	if files, _ := os.ReadDir(trap); len(files) > 0 {
		t.Errorf("%v came through the link", files)
	}
	lock := filepath.Join(tmp, fmt.Sprintf("beamrun-%d/epmd-%d.lock", os.Getuid(), c.Port))
	if _, err := os.Stat(lock); err != nil {
		t.Error(err)
	}
}

// While another process holds the lock, an epmd that appears ends the wait, and so does the
// deadline.
func TestLockHeldByAnother(t *testing.T) {
	testenv.Need(t, "epmd")
	c := setup(t)
	dir := filepath.Join(os.Getenv("HOME"), ".cache", "beamrun")
	os.MkdirAll(dir, 0o700)
	f, err := os.Create(filepath.Join(dir, statedir.LockName(c.Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	c.Timeout = 200 * time.Millisecond
	e := mustFail(t, c, ensure.KindTimeout)
	if !strings.Contains(e.Message(), "holds the lock "+f.Name()) {
		t.Error(e)
	}

	c.Timeout = 0
	time.AfterFunc(200*time.Millisecond, func() {
		exec.Command("epmd", "-port", strconv.Itoa(int(c.Port)), "-daemon").Run()
	})
	if res := mustEnsure(t, c); res.Started {
		t.Errorf("%+v", res)
	}
}

// A warm call allocates what it did when this was last touched, and a little: 8 times with Go 1.26.
// When that grows, see where by `go test -run '^$' -bench Warm/Epmd -memprofile` before raising the
// line.
func TestWarmAllocations(t *testing.T) {
	const most = 9
	testenv.Need(t, "epmd")
	c := setup(t)
	mustEnsure(t, c)
	ctx := t.Context()
	n := testing.AllocsPerRun(200, func() {
		if _, err := ensure.Epmd(ctx, c); err != nil {
			t.Error(err)
		}
	})
	t.Log(n, "allocations")
	if n > most {
		t.Errorf("%v allocations, at most %d were expected", n, most)
	}
}
