package exampletest

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/internal/testenv"
)

// Release is one of my_app, built on a host, with what its script calls the commands.
type Release struct {
	*Host
	Root   string      // its directory
	Before []string    // stands before each command
	NoEpmd bool        // it does without
	Quiet  bool        // a start prints nothing
	Start  string      // runs the node in the foreground
	RPC    []string    // prints 42 in a new node
	Others [][2]string // further commands while the node runs, in order, and what they print
	Remote string      // opens a shell in the node,
	Prompt string      // with that prompt, a pattern,
	Type   string      // where this is typed,
	Shows  string      // which shows that
}

// OwnEpmd is the program of the release's own epmd.
func (r Release) OwnEpmd() string {
	r.T.Helper()
	found, _ := filepath.Glob(r.Root + "/erts-*/bin/epmd")
	if len(found) != 1 {
		r.T.Fatalf("the release has %q", found)
	}
	return found[0]
}

func (r Release) command(args ...string) []string {
	return slices.Concat(r.Before, []string{"bin/my_app"}, args)
}

func (r Release) app(args ...string) string {
	r.T.Helper()
	args = r.command(args...)
	return r.Run(r.Root, args[0], args[1:]...)
}

// Commands runs all commands, from no epmd. One has to be started, the release's own, that outlives
// the node; or none.
func (r Release) Commands() {
	t, program := r.T, r.OwnEpmd()
	if r.NoEpmd {
		program = ""
	}
	rpc := r.command(r.RPC...)
	booted := func() (epmd int) {
		t.Helper()
		if !r.NoEpmd {
			r.Registered("my_app")
		}
		r.Eventually("42", r.Root, rpc[0], rpc[1:]...)
		return r.Epmd(program)
	}
	outlived := func(epmd int) {
		t.Helper()
		if after := r.Epmd(program); after != epmd {
			t.Errorf("the node is gone; epmd was %d and is %d", epmd, after)
		}
	}

	start := r.command(r.Start)
	node := r.Command(r.Root, start[0], start[1:]...)
	var out strings.Builder
	node.Stdout, node.Stderr = &out, &out
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- node.Wait() }() // a stop may wait until the pid is gone
	epmd := booted()
	if pid := r.app("pid"); pid != strconv.Itoa(node.Process.Pid) {
		t.Errorf("pid: %s, started as %d", pid, node.Process.Pid)
	}
	for _, c := range r.Others {
		if out := r.app(strings.SplitN(c[0], " ", 2)...); out != c[1] {
			t.Errorf("%s: %s", c[0], out)
		}
	}
	remote := r.command(r.Remote)
	shell := Open(t, r.Command(r.Root, remote[0], remote[1:]...))
	shell.Expect(r.Prompt)
	shell.Type(r.Type + "\r")
	shell.Expect(r.Shows)
	shell.Type("\x03")
	shell.Expect(`\(v\)ersion`)
	shell.Type("a\r")
	shell.Wait()
	r.app("stop")
	if err := <-ended; err != nil || r.Quiet && out.String() != "" {
		t.Errorf("%s: %v, %s", r.Start, err, &out)
	}
	outlived(epmd)

	testenv.Kill(t, r.Port)
	if out := r.app("daemon"); r.Quiet && out != "" {
		t.Errorf("daemon: %s", out)
	}
	epmd = booted()
	if pid, err := strconv.Atoi(r.app("pid")); err != nil || pid == epmd {
		t.Errorf("pid: %d, %v", pid, err)
	}
	r.app("stop")
	r.Empty()
	outlived(epmd)
}
