// Package exampletest runs the examples as their users would: with beamrun on PATH, but in a home
// directory and on an epmd port of their own.
package exampletest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Deadline bounds every wait.
const Deadline = 30 * time.Second

// Host is where one test runs.
type Host struct {
	T    *testing.T
	Home string
	Port uint16
	Path string   // PATH
	Env  []string // beside what every program gets

	Limit time.Duration // of a program's life; 0: a minute
}

// New returns a host without epmd. What runs on it when the test ends, other than an epmd, fails
// the test and is killed.
func New(t *testing.T) *Host {
	t.Helper()
	testenv.Need(t, "epmd", "erl")
	h := &Host{T: t, Home: t.TempDir(), Port: testenv.Port(t)}
	h.Path = beamrun + ":" + os.Getenv("PATH")
	t.Cleanup(h.Empty)
	return h
}

var beamrun string // the directory of the one that is built

// Main is a package's TestMain: it builds beamrun once for all hosts.
func Main(m *testing.M) {
	var err error
	if beamrun, err = os.MkdirTemp("", "beamrun-example-"); err != nil {
		panic(err)
	}
	defer os.RemoveAll(beamrun)
	build := exec.Command("go", "build", "-o", beamrun, "github.com/beamrun/beamrun/cmd/beamrun")
	if out, err := build.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	m.Run()
}

// Erlang are the programs that a release has to do without.
var Erlang = []string{"epmd", "erl", "erl_call", "escript", "elixir", "iex"}

// Hide makes PATH one that has every program but these.
func (h *Host) Hide(hidden ...string) {
	h.T.Helper()
	dir := h.T.TempDir()
	for _, from := range filepath.SplitList(h.Path) {
		programs, _ := os.ReadDir(from)
		for _, p := range programs {
			if !slices.Contains(hidden, p.Name()) {
				// the first on PATH wins
				os.Symlink(filepath.Join(from, p.Name()), filepath.Join(dir, p.Name()))
			}
		}
	}
	h.Path = dir
}

// Command is a program on this host, killed when the test ends or after the limit.
func (h *Host) Command(dir, name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(h.T.Context(), cmp.Or(h.Limit, 2*Deadline))
	h.T.Cleanup(cancel)
	// env looks on this host's PATH
	cmd := exec.CommandContext(ctx, "env", append([]string{name}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+h.Home, "PATH="+h.Path,
		"ERL_EPMD_PORT="+strconv.Itoa(int(h.Port)), "TERM=xterm", "XDG_RUNTIME_DIR=",
		"XDG_CACHE_HOME=", "XDG_CONFIG_HOME=", "RELEASE_COOKIE=", h.mark())
	cmd.Env = append(cmd.Env, h.Env...)
	cmd.WaitDelay = time.Second
	return cmd
}

// Try runs a program to its end and returns what it printed.
func (h *Host) Try(dir, name string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := h.Command(dir, name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// ExitCode is that of Try's error.
func ExitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// Run is Try for what has to succeed.
func (h *Host) Run(dir, name string, args ...string) string {
	h.T.Helper()
	out, err := h.Try(dir, name, args...)
	if err != nil {
		h.T.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// Eventually waits until a program prints what is wanted.
func (h *Host) Eventually(want, dir, name string, args ...string) {
	h.T.Helper()
	var out string
	Wait(h.T, func() error {
		var err error
		if out, err = h.Try(dir, name, args...); out != want {
			err = fmt.Errorf("%s %q: %v, %q, want %q", name, args, err, out, want)
		}
		return err
	})
}

// Registered waits until a node is.
func (h *Host) Registered(node string) {
	h.T.Helper()
	Wait(h.T, func() error {
		_, err := epmd.Lookup(h.T.Context(), testenv.Loopback(h.Port), node)
		return err
	})
}

// Wait waits until f has no error.
func Wait(t *testing.T, f func() error) {
	t.Helper()
	for deadline := time.Now().Add(Deadline); ; time.Sleep(10 * time.Millisecond) {
		if err := f(); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Copy copies an example's project.
func Copy(t *testing.T, project string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "project")
	if err := os.CopyFS(dir, os.DirFS(project)); err != nil {
		t.Fatal(err)
	}
	return dir
}
