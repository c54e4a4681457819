package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// short is for calls that end at their deadline only: the fault would last for ever.
const short = "--timeout=300ms"

// The users of the faults that need some beside root. No passwd file knows them.
const (
	alice = 54321
	bob   = 54322
	carol = 54323
)

type faultRow struct {
	number, fault string
	run           func(*faultHost) outcome
}

func TestFaults(t *testing.T) {
	table := readFaultTable(t)
	if _, err := builtBeamrun(); err != nil {
		t.Fatal(err)
	}
	for _, f := range callFaults {
		t.Run(f.number, func(t *testing.T) {
			h := newFaultHost(t)
			for key, value := range map[string]string{
				"HOME": h.home, "TMPDIR": h.home, "XDG_RUNTIME_DIR": "", "XDG_CACHE_HOME": "",
				"ERL_EPMD_ADDRESS": "",
			} {
				t.Setenv(key, value)
			}
			table.check(h, f, f.run(h))
		})
	}
	t.Run("rows", func(t *testing.T) { // ends when all of them have
		for _, f := range faults {
			t.Run(f.number, func(t *testing.T) {
				// Those hold some thousand connections. In the rest this process has to be found as the
				// owner of a port, among all its descriptors.
				if f.number != "1c" && f.number != "32" {
					t.Parallel()
				}
				h := newFaultHost(t)
				table.check(h, f, f.run(h))
			})
		}
	})
	// 26 is TestChaos of package ensure; 30e is 30c with an old epmd
	listed := map[string]bool{"26": true, "30e": true}
	for _, f := range slices.Concat(callFaults, faults) {
		listed[f.number] = true
	}
	for number := range table.rows {
		if !listed[number] {
			t.Errorf("the table has a row %s that nothing tests", number)
		}
	}
	if *update {
		table.write(t)
	}
}

func (h *faultHost) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// await waits for a state of the host.
func (h *faultHost) await(is func() bool) {
	h.Helper()
	testenv.Eventually(h, "the state of the host that the row needs", is)
}

// listenAndClose takes the port on one address and closes every connection after that time.
func (h *faultHost) listenAndClose(network, host string, after time.Duration) {
	h.Helper()
	l, err := net.Listen(network, net.JoinHostPort(host, strconv.Itoa(int(h.port))))
	h.must(err)
	h.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			io.ReadFull(conn, make([]byte, 3)) // without it, the peer may see a reset
			time.AfterFunc(after, func() { conn.Close() })
		}
	}()
}

// fillBacklog makes connections to a stopped epmd until one is not accepted.
func (h *faultHost) fillBacklog() {
	h.Helper()
	for range 10_000 {
		conn, err := net.DialTimeout("tcp", h.addr(), time.Second)
		if err != nil {
			return
		}
		h.Cleanup(func() { conn.Close() })
	}
	h.Error("the backlog has no end")
}

// inTime is a call that takes all of the time that it is given, and no more.
func (h *faultHost) inTime(limit time.Duration, call func(args ...string) outcome,
	args ...string) outcome {
	h.Helper()
	o := call(append(args, "--timeout", limit.String())...)
	h.Logf("%v of %v", o.elapsed, limit)
	// a busy machine needs some of the half second
	if o.elapsed < limit*9/10 || o.elapsed > limit+500*time.Millisecond {
		h.Errorf("it took %v, not %v", o.elapsed, limit)
	}
	return o
}

// badLockDir gives an ordinary user a directory for the lock that make made, in each place but the
// temp directory. Nothing may come into it.
func (h *faultHost) badLockDir(make func(path string) error) outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	runtime := filepath.Join(h.dir, "run")
	parents := []string{runtime, filepath.Join(h.home, ".cache")}
	h.as(alice)
	h.env = []string{"XDG_RUNTIME_DIR=" + runtime}
	for _, dir := range parents {
		path := filepath.Join(dir, "beamrun")
		h.must(errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, alice, alice), make(path)))
		if info, _ := os.Lstat(path); info.Mode().IsDir() && info.Sys().(*syscall.Stat_t).Uid == 0 {
			h.must(os.Chown(path, alice, alice))
		}
	}
	o := h.ensure()
	for _, dir := range parents {
		if files, err := os.ReadDir(filepath.Join(dir, "beamrun")); err != nil || len(files) > 0 {
			h.Errorf("in %s: %v, %v", dir, files, err)
		}
	}
	return o
}

// badStateFiles puts something in the place of the lock and of the log.
func (h *faultHost) badStateFiles(make func(path string) error) outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	dir := filepath.Join(h.home, ".cache", "beamrun")
	h.must(os.MkdirAll(dir, 0o700))
	for _, name := range []string{"lock", "log"} {
		h.must(make(filepath.Join(dir, fmt.Sprintf("epmd-%d.%s", h.port, name))))
	}
	return h.ensure()
}

// stoppedHolder is a call while another one holds the lock and is stopped.
func (h *faultHost) stoppedHolder() outcome {
	h.Helper()
	h.program("sleep 60")
	holder := h.command()
	h.must(holder.Start())
	defer h.killProcesses()
	h.await(func() bool { return len(h.processes()) == 3 }) // it, the script and its sleep
	syscall.Kill(holder.Process.Pid, syscall.SIGSTOP)
	return h.ensure(short)
}

// callCanceled calls the library and ends its context after 100 ms.
func (h *faultHost) callCanceled() outcome {
	h.Helper()
	ctx, cancel := context.WithCancel(h.Context())
	defer cancel()
	time.AfterFunc(100*time.Millisecond, cancel)
	o := h.call(ctx)
	if o.elapsed > time.Second {
		h.Errorf("it took %v", o.elapsed)
	}
	return o
}

// limited is a call under the highest limit of a resource that makes it fail with that kind of
// error. How much is too little depends on Go's runtime. Without threads it can't start at all, and
// says so in its own words.
func (h *faultHost) limited(resource, kind string) (o outcome) {
	h.Helper()
	call := h.command()
	for try := range 200 {
		limit := 20 - try%20
		if o.Kind != "" && limit == 20 {
			break
		}
		var stdout, stderr bytes.Buffer
		args := []string{fmt.Sprintf("--%s=%d", resource, limit), call.Path}
		cmd := h.wrap("prlimit", append(args, call.Args[1:]...)...)
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.Run()
		code := cmd.ProcessState.ExitCode()
		noThread := []byte("may need to increase max user processes (ulimit -u)")
		switch {
		case code == 2 && bytes.Contains(stderr.Bytes(), noThread):
		case stdout.Len() == 0 && resource == "nofile" && limit < 3: // not even three streams
		default:
			if now := h.read(code, stdout.Bytes()); now.Kind == kind && o.Kind == "" {
				o = now
			} else if now.Kind != "" && now.Kind != "spawn" && now.Kind != "unreachable" ||
				stderr.Len() > 0 {
				h.Errorf("with %d: %s%s", limit, &stdout, &stderr)
			}
		}
		testenv.Kill(h, h.port)
	}
	return o
}

// twoUsers lets the callers of two users, who have a lock each, start at once. All of them have to
// succeed. One of them started the epmd that stays.
func (h *faultHost) twoUsers() outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	h.needRoot()
	homes := map[int]string{alice: h.home, bob: filepath.Join(h.dir, "bob")}
	h.must(errors.Join(os.Chown(h.home, alice, alice),
		os.Mkdir(homes[bob], 0o700), os.Chown(homes[bob], bob, bob)))
	states := make(chan string, 40)
	for range cap(states) / 2 {
		for uid, home := range homes {
			one := *h
			one.uid, one.home = uid, home
			cmd := one.command()
			go func() {
				out, err := cmd.Output()
				if err != nil {
					h.Errorf("%v: %s", err, out)
					states <- ""
					return
				}
				states <- h.read(0, out).state
			}()
		}
	}
	count := map[string]int{}
	for range cap(states) {
		count[<-states]++
	}
	if now := h.ensure(); now.state != "already running" {
		h.Errorf("afterwards: %+v", now)
	}
	bobs := &faultHost{home: homes[bob]}
	h.await(func() bool { return len(h.processes())+len(bobs.processes()) == 1 })
	return outcome{epmd: true, state: fmt.Sprintf("started by %d, already running for %d",
		count["started"], count["already running"])}
}

// afterKill stops calls at random moments until one is at the given step, kills that one with
// SIGKILL, and calls again. Whatever the step, what a killed call leaves must not keep the next
// from ending with one epmd.
func (h *faultHost) afterKill(want string) outcome {
	h.Helper()
	testenv.Need(h, "epmd")
	seen := map[string]int{}
	longest := 8 * time.Millisecond // until it is stopped
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		cmd := h.command()
		h.must(cmd.Start())
		if want == "spawned" { // and stays so, until the file is there that its epmd waits for
			h.await(func() bool { return h.step(cmd.Process.Pid) == want })
		} else {
			time.Sleep(rand.N(longest))
		}
		syscall.Kill(cmd.Process.Pid, syscall.SIGSTOP)
		h.await(func() bool { s := procState(cmd.Process.Pid); return s == "T" || s == "Z" })
		step := h.step(cmd.Process.Pid)
		cmd.Process.Kill()
		cmd.Wait()
		h.file("go", "", 0o600)
		o := h.ensure()
		if !o.epmd {
			h.Errorf("after a kill at the step %q: %+v", step, o)
		}
		h.await(func() bool { return len(h.processes()) == 1 })
		testenv.Kill(h, h.port)
		if seen[step]++; step == want {
			h.Logf("killed until one was at the step %q: %v", want, seen)
			o.state = "started, or already running"
			return o
		}
		// how long a step takes depends on how busy the machine is
		if slices.Index(steps, step) < slices.Index(steps, want) {
			longest += longest / 8
		} else {
			longest -= longest / 8
		}
	}
	h.Fatalf("no call was stopped at the step %q: %v", want, seen)
	return outcome{}
}

// steps are those of a call, in their order. The first is before any other.
var steps = []string{"", "lock", "spawned", "listens", "ended"}

// step reports how far a stopped call got.
func (h *faultHost) step(pid int) string {
	locks, _ := os.ReadFile("/proc/locks")
	switch has := bytes.Contains(locks, fmt.Appendf(nil, "WRITE %d ", pid)); {
	case procState(pid) == "Z":
		return "ended"
	case has && testenv.PID(h.port) != 0:
		return "listens"
	case has && len(childArgs(pid)) > 0:
		return "spawned"
	case has:
		return "lock"
	}
	return ""
}

// procState is the state of a process, as ps shows it.
func procState(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	return after[:min(1, len(after))]
}
