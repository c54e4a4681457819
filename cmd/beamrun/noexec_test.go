//go:build !unix || noexec

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// The tests of the way without execve, that of Windows, need no Erlang: the test binary plays epmd,
// see epmdtest, and the program.
func init() {
	if os.Args[0] == "epmd" {
		playEpmd(os.Args[1:])
	}
	if os.Getenv(playVar) != "" && os.Args[0] == os.Getenv(playVar) { // beamrun gets it too
		playProgram()
	}
}

// playVar holds the path of the test binary that is to play the program.
const playVar = "BEAMRUN_TEST_PLAY"

// playEpmd is `epmd -port N`. With an -address it fails: by its end with 127.0.0.1, by never
// listening with ::1.
func playEpmd(args []string) {
	if len(args) != 2 || args[0] != "-port" {
		fmt.Fprintf(os.Stderr, "pid %d, %q %s\n", os.Getpid(), args, os.Getenv("MY_SECRET"))
		if slices.Contains(args, "::1") {
			time.Sleep(time.Minute)
		}
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+args[1]) // or else epmdtest would need a test to fail
	if err != nil {
		os.Exit(0) // as epmd does when the port is taken
	}
	l.Close()
	<-epmdtest.Listen(noTest{}, "127.0.0.1:"+args[1], epmdtest.Relaxed).Done()
	os.Exit(0)
}

type noTest struct{ testing.TB }

func (noTest) Helper()               {}
func (noTest) Cleanup(func())        {}
func (noTest) Fatalf(string, ...any) { os.Exit(0) }

// ran is what the program found.
type ran struct {
	Args  []string
	Port  string
	Stdin string
}

func playProgram() {
	stdin, _ := io.ReadAll(os.Stdin)
	json.NewEncoder(os.Stdout).Encode(ran{os.Args[1:], os.Getenv("ERL_EPMD_PORT"), string(stdin)})
	os.Exit(7)
}

// withoutExec is a home directory of its own, and beamrun with an epmd port.
type withoutExec struct {
	t    *testing.T
	self string
	env  []string
}

func newWithoutExec(t *testing.T, port uint16) *withoutExec {
	t.Helper()
	if canBecome {
		t.Fatal("this is a build that can exec")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := append(os.Environ(), "HOME="+home, "USERPROFILE="+home, "LocalAppData="+home, "XDG_CACHE_HOME=", "XDG_RUNTIME_DIR=",
		"BEAMRUN_DETACH=session", "ERL_EPMD_PORT="+strconv.Itoa(int(port)))
	return &withoutExec{t, self, env}
}

func (w *withoutExec) beamrun(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	w.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "beamrun", args...)
	cmd.WaitDelay = time.Second
	cmd.Env = slices.Clone(w.env)
	return cmd
}

// run returns stdout and the exit code.
func (w *withoutExec) run(cmd *exec.Cmd) (string, int) {
	w.t.Helper()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Errorf("%q: %v", cmd.Args, err)
	}
	if exit != nil && len(exit.Stderr) > 0 {
		w.t.Logf("%q: %s", cmd.Args, exit.Stderr)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestWithoutExec(t *testing.T) {
	server := epmdtest.New(t)
	server.Register("alice", 40001)
	w := newWithoutExec(t, server.Port())
	// Linux tells that nobody listens there
	if out, code := w.run(w.beamrun("names")); strings.Replace(out, " stale", "", 1) != "alice 40001\n" || code != 0 {
		t.Errorf("names: %q, exit code %d", out, code)
	}
	if out, code := w.run(w.beamrun("ensure")); out != fmt.Sprintf("epmd on %s: already running\n", server.Addr()) || code != 0 {
		t.Errorf("ensure: %q, exit code %d", out, code)
	}
	args := []string{"-sname", "a b", `say "hi"`, "", `C:\dir\`, `end\"`, "%PATH%", "é", "$HOME", "a\tb", "--port"}
	cmd := w.beamrun(append([]string{"-v", w.self}, args...)...)
	cmd.Env = append(cmd.Env, playVar+"="+w.self)
	cmd.Stdin = strings.NewReader("typed")
	out, code := w.run(cmd)
	var got ran
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 7 {
		t.Fatalf("%q: %v, exit code %d", out, err, code)
	}
	if !slices.Equal(got.Args, args) || got.Port != strconv.Itoa(int(server.Port())) || got.Stdin != "typed" {
		t.Errorf("the program got %q", got)
	}
	if _, code := w.run(w.beamrun("no-such-program")); code != 127 {
		t.Errorf("no program: exit code %d", code)
	}
	server.SetFaults(epmdtest.Garbage)
	if _, code := w.run(w.beamrun(w.self)); code != 69 {
		t.Errorf("no epmd: exit code %d", code)
	}
}

// Ten at once start one epmd; it outlives them, and whoever waits for the end of their output does
// not wait for its end.
func TestWithoutExecStartsEpmd(t *testing.T) {
	port := freePort(t)
	w := newWithoutExec(t, port)
	// it is found where a version manager has installed it
	data := t.TempDir()
	program := filepath.Join(data, "installs/erlang/27.1/erts-15.1/bin/epmd")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	text, err := os.ReadFile(w.self)
	if err = errors.Join(err, os.MkdirAll(filepath.Dir(program), 0o755), os.WriteFile(program, text, 0o755)); err != nil {
		t.Fatal(err)
	}
	w.env = append(w.env, "BINDIR=", "ROOTDIR=", "RELEASE_ROOT=",
		"PATH="+filepath.Join(data, "shims")+string(filepath.ListSeparator)+os.Getenv("PATH"))
	var mu sync.Mutex
	var pids []int
	defer func() {
		for _, pid := range pids {
			p, err := os.FindProcess(pid)
			if err == nil {
				err = p.Kill()
			}
			if err != nil {
				t.Errorf("epmd, pid %d: %v", pid, err)
			}
		}
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := epmd.Names(context.Background(), testenv.Loopback(port)); err != nil {
				break
			} else if time.Now().After(deadline) {
				t.Fatal("an epmd is left")
			}
		}
	}()
	var wg sync.WaitGroup
	for range 10 {
		cmd := w.beamrun("--json", "ensure")
		wg.Go(func() {
			begin := time.Now()
			out, code := w.run(cmd)
			var res struct {
				Epmd struct {
					PID     int
					Program string
				}
			}
			if err := json.Unmarshal([]byte(out), &res); err != nil || code != 0 {
				t.Errorf("%q: %v, exit code %d", out, err, code)
			}
			if res.Epmd.PID != 0 {
				if res.Epmd.Program != program {
					t.Errorf("it started %s, want %s", res.Epmd.Program, program)
				}
				mu.Lock()
				pids = append(pids, res.Epmd.PID)
				mu.Unlock()
			}
			if _, err := epmd.Names(t.Context(), testenv.Loopback(port)); err != nil {
				t.Errorf("it returned after %v, but: %v", time.Since(begin), err)
			}
		})
	}
	wg.Wait()
	if len(pids) != 1 {
		t.Errorf("%d say that they started one: %v", len(pids), pids)
	}
}

// An epmd that ends, or never listens: its own words are in the message, and it does not stay.
func TestWithoutExecEpmdFails(t *testing.T) {
	w := newWithoutExec(t, freePort(t))
	for address, want := range map[string]string{
		"127.0.0.1": `: spawn: it ended with (?:exit )?status 1 and printed: pid (\d+), `,
		"::1":       `: timeout: the epmd that was started did not answer in time, was ended, and printed: pid (\d+), `,
	} {
		cmd := w.beamrun("--epmd", w.self, "--address", address, "--timeout", "2s", "ensure")
		cmd.Env = append(cmd.Env, "MY_SECRET=hidden")
		var said strings.Builder
		cmd.Stderr = &said
		_, code := w.run(cmd)
		found := regexp.MustCompile(want).FindStringSubmatch(said.String())
		if code != 69 || found == nil || strings.Contains(said.String(), "hidden") {
			t.Errorf("%s: exit code %d, %s", address, code, &said)
			continue
		}
		pid, _ := strconv.Atoi(found[1])
		if p, err := os.FindProcess(pid); err == nil && lives(p) {
			p.Kill()
			t.Errorf("%s: the epmd lives", address)
		}
	}
}

// lives reports whether a process that was found has not ended. Windows lets nobody ask, but anybody
// wait.
func lives(p *os.Process) bool {
	if runtime.GOOS != "windows" {
		return p.Signal(syscall.Signal(0)) == nil
	}
	ended := make(chan struct{})
	go func() { p.Wait(); close(ended) }()
	select {
	case <-ended:
		return false
	case <-time.After(time.Second):
		return true
	}
}

// A launch that starts epmd passes the program's exit code on, and the epmd stays.
func TestWithoutExecLaunchesCold(t *testing.T) {
	port := freePort(t)
	w := newWithoutExec(t, port)
	cmd := w.beamrun("-v", "--epmd", w.self, w.self, "x")
	cmd.Env = append(cmd.Env, playVar+"="+w.self)
	var said strings.Builder
	cmd.Stderr = &said
	out, code := w.run(cmd)
	if code != 7 || !strings.Contains(out, `"Args":["x"]`) {
		t.Errorf("%q, exit code %d", out, code)
	}
	if !strings.Contains(said.String(), ": started "+w.self+", pid ") {
		t.Errorf("-v: %s", &said)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	if _, err := epmd.Names(t.Context(), testenv.Loopback(port)); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	conn.Write([]byte("\x00\x01k")) // KILL_REQ
	if reply, err := io.ReadAll(conn); string(reply) != "OK" {
		t.Errorf("it is not ended: %q, %v", reply, err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	cookie, err := os.Stat(filepath.Join(value(w.env, "HOME"), ".erlang.cookie"))
	if err != nil || cookie.Mode() != 0o400 {
		t.Errorf("the cookie: %v, %v", cookie, err)
	}
}

// value is the last one of key in env.
func value(env []string, key string) (last string) {
	for _, v := range env {
		if rest, ok := strings.CutPrefix(v, key+"="); ok {
			last = rest
		}
	}
	return last
}
