package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// The scripts that run real Erlang and Elixir programs, each on an epmd port of its own.
func TestErlangScript(t *testing.T) {
	testenv.Need(t, "epmd", "erl", "elixir", "mix", "bash", "pgrep")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/erlang",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ERL_EPMD_PORT", strconv.Itoa(int(testenv.Port(t))))
			os.Chmod(filepath.Join(env.WorkDir, "broken"), 0o755) // only one script has it
			return setupScript(env)
		},
		Cmds:                scriptCommands,
		RequireExplicitExec: true,
	})
}

// host is an environment for programs of one test: a home directory and an epmd port of its own.
type host struct {
	t    testing.TB
	home string
	port uint16
}

func newHost(t testing.TB) *host {
	t.Helper()
	testenv.Need(t, "epmd", "erl", "elixir", "iex")
	return &host{t, t.TempDir(), testenv.Port(t)}
}

// command is a program that is killed when it takes longer than a minute, or the test ends.
func (h *host) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	h.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "HOME="+h.home, "XDG_RUNTIME_DIR=", "XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "RELEASE_COOKIE=",
		"ERL_EPMD_PORT="+strconv.Itoa(int(h.port)))
	return cmd
}

// lasting is a program that lasts as long as the test, not just a minute.
func (h *host) lasting(name string, args ...string) *exec.Cmd {
	short := h.command(name, args...)
	cmd := exec.CommandContext(h.t.Context(), short.Path, args...)
	cmd.Args, cmd.Env = short.Args, short.Env
	return cmd
}

// run runs a program to its end, which has to be a good one, and returns what it printed.
func (h *host) run(name string, args ...string) string {
	h.t.Helper()
	var out, errs bytes.Buffer
	cmd := h.command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		h.t.Errorf("%s %q: %v\n%s%s", name, args, err, &out, &errs)
	}
	return out.String()
}

// node starts a program in the background, waits until its node is registered, and ends it with the
// test.
func (h *host) node(sname string, cmd *exec.Cmd) {
	h.t.Helper()
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	h.registered(sname)
}

// registered waits until epmd knows the node.
func (h *host) registered(sname string) {
	h.t.Helper()
	addr := testenv.Loopback(h.port)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := epmd.Lookup(h.t.Context(), addr, sname); err == nil {
			return
		} else if time.Now().After(deadline) {
			h.t.Fatalf("node %s: %v", sname, err)
		}
	}
}

// Apart from the scripts, for not every system that has Erlang has a package of it.
func TestRebar3(t *testing.T) {
	h := newHost(t)
	testenv.Need(t, "rebar3")
	if out := h.run("beamrun", "rebar3", "version"); !strings.HasPrefix(out, "rebar ") || testenv.PID(h.port) == 0 {
		t.Errorf("%q, and an epmd or none", out)
	}
}

// A hundred processes at once, ten times from cold: each time one epmd is spawned, and it answers
// whoever returns.
func TestHundredProcesses(t *testing.T) {
	for round := range 10 {
		h := newHost(t)
		program, starts := testenv.Counting(t)
		var wg sync.WaitGroup
		for range 100 {
			cmd := h.command("beamrun", "--epmd", program, "ensure")
			wg.Go(func() {
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
				if _, err := epmd.Names(t.Context(), testenv.Loopback(h.port)); err != nil {
					t.Errorf("it returned, but: %v", err)
				}
			})
		}
		wg.Wait()
		if n := starts(); n != 1 {
			t.Errorf("round %d: %d epmds were spawned", round+1, n)
		}
		testenv.Kill(t, h.port)
	}
}

// Fifty launches at once in a new home: one cookie, in a file as Erlang makes it, and in every
// node.
func TestFiftyLaunchesAgreeOnOneCookie(t *testing.T) {
	h := newHost(t)
	path := filepath.Join(h.home, ".erlang.cookie")
	stop := watchArgs()
	const n = 50
	var got [n]string
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			got[i] = h.run("beamrun", "elixir", "--sname", fmt.Sprint("n", i), "-e", "IO.write Node.get_cookie()")
		})
	}
	wg.Wait()
	seen := stop()
	want, err := cookie.Load(path)
	if err != nil || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(want) {
		t.Fatalf("%q, %v", want, err)
	}
	t.Logf("the arguments of %d processes", len(seen))
	if seen.of(want) != 0 || seen.of("--sname") == 0 {
		t.Error("the cookie stood in an argument list, or nothing was watched")
	}
	if info, _ := os.Stat(path); info.Mode() != 0o400 {
		t.Errorf("mode %v", info.Mode())
	}
	for i := range n {
		if got[i] != want {
			t.Errorf("node %d has the cookie %q, the file %q", i, got[i], want)
		}
	}
}

// Nodes that beamrun started find each other, and a plain iex finds them.
func TestNodesConnect(t *testing.T) {
	h := newHost(t)
	h.node("a", h.command("beamrun", "erl", "-sname", "a", "-noinput"))
	h.node("b", h.command("beamrun", "elixir", "--sname", "b", "--no-halt"))
	ping := `{:ok, h} = :inet.gethostname(); IO.inspect(for n <- ["a", "b"], do: Node.ping(:"#{n}@#{h}")); System.halt()`
	for _, args := range [][]string{
		{"beamrun", "elixir", "--sname", "c", "-e", ping},
		{"elixir", "--sname", "c", "-e", ping},
		{"iex", "--sname", "c", "-e", ping},
	} {
		if out := h.run(args[0], args[1:]...); !strings.Contains(out, "[:pong, :pong]") {
			t.Errorf("%s: %s", args[0], out)
		}
	}
	out := h.run("beamrun", "names")
	if !regexp.MustCompile(`\Ab \d+ \d+ +beam\.smp alive\na \d+ \d+ +beam\.smp alive\n\z`).MatchString(out) {
		t.Errorf("names: %q", out)
	}
	port := strings.Fields(out)[1]
	if one := h.run("beamrun", "names", "b@127.0.0.1"); one != port+"\n" {
		t.Errorf("names b: %q, want %s", one, port)
	}
}

// On a terminal: the prompt is iex's, Ctrl-C twice leaves, the terminal is as it was, and beamrun
// is gone all the while.
func TestIexOnATerminal(t *testing.T) {
	h := newHost(t)
	// stty shows the terminal's modes; the trap keeps Ctrl-C from the shell, as job control does
	// for a person's, and may end its read
	cmd := h.command("sh", "-c", "trap : INT; stty -a >before; beamrun iex --sname host; echo left with $?; stty -a >after; read line; exit 0")
	cmd.Dir = t.TempDir()
	s := onTerminal(t, cmd)
	hostname, _ := os.Hostname()
	short, _, _ := strings.Cut(hostname, ".")
	s.expect(`iex\(host@` + regexp.QuoteMeta(short) + `\)1>`)
	if children := childArgs(cmd.Process.Pid); canBecome && (len(children) != 1 || !strings.Contains(children[0], "beam") || strings.Contains(children[0], "beamrun")) {
		t.Errorf("while iex runs, the shell's children are %q", children)
	}
	s.send("1 + 41\r")
	s.expect(`42`)
	s.send("\x03")
	s.expect(`\(v\)ersion`)
	s.send("\x03")
	s.expect(`left with \d+`)
	s.send("\r")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	before, err := os.ReadFile(filepath.Join(cmd.Dir, "before"))
	after, _ := os.ReadFile(filepath.Join(cmd.Dir, "after"))
	if err != nil || len(before) == 0 || !bytes.Equal(before, after) {
		t.Errorf("the terminal before:\n%s\nand after:\n%s\n%v", before, after, err)
	}
}

// childArgs returns the arguments of a process's children, zombies as "Z".
func childArgs(pid int) (children []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, after, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			args, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline"))
			if f[0] == "Z" {
				args = []byte("Z")
			}
			children = append(children, string(args))
		}
	}
	return children
}

// An epmd that a launch started is no child of the program: of all programs only the Erlang VM,
// which ignores SIGCHLD, would leave no zombie at its end.
func TestProgramDoesNotInheritEpmd(t *testing.T) {
	h := newHost(t)
	cmd := h.command("beamrun", "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	comm := fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if name, _ := os.ReadFile(comm); string(name) == "sleep\n" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("it is still %s", name)
		}
	}
	pid := testenv.PID(h.port)
	if pid == 0 {
		t.Fatal("no epmd")
	}
	if children := childArgs(cmd.Process.Pid); len(children) != 0 {
		t.Errorf("the program has children: %q", children)
	}
	syscall.Kill(pid, syscall.SIGKILL)
	time.Sleep(50 * time.Millisecond)
	if children := childArgs(cmd.Process.Pid); len(children) != 0 {
		t.Errorf("after epmd's end the program has children: %q", children)
	}
}
