package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/launcher"
)

// launch makes sure of epmd and then becomes the program. flags are beamrun's own, as they were
// given.
func (a *app) launch(
	ctx context.Context, flags []string, program string, args []string,
) (code int, err error) {
	if err := a.checkEpmdless(); err != nil {
		return 0, err
	}
	// what can't be launched needs no epmd
	path, err := exec.LookPath(program)
	if err != nil {
		return 0, &programError{program, err}
	}
	c := launcher.Config{Program: program, Args: args, Env: os.Environ(), Local: a.local,
		DistPort: a.distPort, Epmdless: a.epmdless, Peers: a.peers, PeersFile: a.peerFile,
		Warn: func(w string) { a.sayWarnings([]string{w}) }}
	a.warnIfUnreachable(ctx, args)
	if c.Cookie, err = a.launchCookie(args); err != nil {
		return 0, err
	}
	hadSecret := os.Getenv(cookie.SecretVar) != ""
	os.Unsetenv(cookie.SecretVar) // what is started from here on has no need of it
	if a.epmdless {
		c.Endpoint, err = a.withoutEpmd()
	} else {
		implied := a.takeEpmdPort(&c)
		if implied {
			flags = append(withoutDashes(flags), "--port", strconv.Itoa(int(a.port)))
		}
		c.Endpoint, err = a.launchEpmd(ctx, flags, path)
		c.Endpoint.Implied = c.Endpoint.Implied || implied
	}
	if err != nil {
		return 0, err
	}
	if !a.stays() {
		return 0, &programError{program, launcher.Exec(c)}
	}
	if hadSecret {
		if err := hideEnvironment(); err != nil {
			a.say("warning: the program can read %s in this process's environment: %v",
				cookie.SecretVar, err)
		}
	}
	child := launcher.Child{Forward: true}
	if a.wantWatch {
		// from here on it waits: a second processor would be woken for nothing
		runtime.GOMAXPROCS(1)
		child.While = func(ctx context.Context) { a.watch(ctx, path) }
	}
	if os.Getpid() == 1 {
		go reapStrangers()
	}
	if code, err = launcher.Run(ctx, c, child); err != nil {
		return 0, &programError{program, err}
	}
	return code, nil
}

// takeEpmdPort makes the program's own port of epmd (-epmd_port) that of this launch where nobody
// chose another one, and reports whether it did. Where somebody did, ERL_EPMD_PORT beats the
// program's own.
func (a *app) takeEpmdPort(c *launcher.Config) bool {
	own := launcher.EpmdPort(c.Program, c.Args, c.Env)
	chosen := os.Getenv("ERL_EPMD_PORT")
	switch {
	case own == 0:
	case a.port == 0 && chosen == "":
		a.port = own
		return true
	case a.port != 0 && a.port != own:
		a.say("warning: the program's own -epmd_port %d does not count:"+
			" --port %d sets ERL_EPMD_PORT, which beats it", own, a.port)
	case a.port == 0 && chosen != strconv.Itoa(int(own)):
		a.say("warning: the program's own -epmd_port %d does not count:"+
			" ERL_EPMD_PORT is %s, which beats it", own, printable(chosen))
	}
	return false
}

// stays reports whether this process stays, as the program's parent.
func (a *app) stays() bool { return a.wantWatch || !canBecome }

// launchCookie returns the cookie to hand to the program, which is none when the program finds the
// right one itself.
func (a *app) launchCookie(args []string) (string, error) {
	if launcher.GivesCookie(args, os.Environ()) {
		if a.verbose {
			a.say("the program is given a cookie already; it is left alone, and will stand in the" +
				" argument list, for every user of the host to read")
		}
		return "", nil
	}
	// Whatever the source, a node boots with the user's file, and Erlang would make a missing one
	// guessable.
	_, err := cookie.User.Cookie()
	if a.source == cookie.User {
		return "", err
	}
	if err != nil {
		// A node with a name won't boot now, but the program may need none, or have one that we
		// don't see (a release's vm.args).
		r, _ := describe(err)
		a.say("warning: %s", r)
	}
	if a.source == "" { // nobody asked for a cookie
		return "", nil
	}
	return a.source.Cookie()
}

// launchEpmd makes sure of epmd. A daemon must not be started by the process that becomes the
// program: it would be the program's child, and a zombie once it ends, for few programs wait for
// children that they do not know (the Erlang VM ignores SIGCHLD and leaves none; a release's start
// script, or a supervisor, does not). So a short-lived `beamrun ensure` starts it, and init takes
// it over.
//
// All of that has one deadline.
func (a *app) launchEpmd(
	ctx context.Context, flags []string, program string,
) (ensure.Endpoint, error) {
	begin := time.Now()
	a.beAloud()
	c := a.epmd()
	res, err := ensure.Probe(ctx, c)
	var e *ensure.Error
	if !errors.As(err, &e) || e.Kind != ensure.KindDown {
		return res.Endpoint, a.sayEnsured(&res, err)
	}
	c.ReleaseRoot = launcher.ReleaseRoot(program)
	c.Timeout = max(time.Millisecond, cmp.Or(c.Timeout, ensure.DefaultTimeout)-time.Since(begin))
	if a.stays() {
		res, err := ensure.Epmd(ctx, c)
		return res.Endpoint, a.sayEnsured(&res, err)
	}
	if c.Waiting != nil {
		left := time.Until(begin.Add(time.Second))
		defer time.AfterFunc(left, func() { c.Waiting(res.Endpoint) }).Stop()
	}
	flags = append(withoutDashes(flags), "--json", "--timeout="+c.Timeout.String())
	return res.Endpoint, a.ensureByChild(ctx, flags, c.ReleaseRoot)
}

// ensureByChild is `beamrun ensure` with those flags, which ask for JSON. It prints nothing itself:
// what it reports is printed here. releaseRoot is that of the program, or empty.
func (a *app) ensureByChild(ctx context.Context, flags []string, releaseRoot string) error {
	self, err := ownProgram()
	if err != nil {
		return fmt.Errorf("where this program's own file is: %w", err)
	}
	var out bytes.Buffer
	child := exec.CommandContext(ctx, self, append(flags, "ensure")...)
	child.Args[0] = "beamrun"
	if releaseRoot != "" {
		child.Env = append(os.Environ(), "RELEASE_ROOT="+releaseRoot)
	}
	child.Stdout, child.Stderr = &out, a.stderr
	err = child.Run()
	var said struct {
		ensured
		Error *report
	}
	switch notJSON := json.Unmarshal(out.Bytes(), &said); {
	case notJSON != nil:
		return fmt.Errorf("beamrun ensure: %w", cmp.Or(err, notJSON))
	case said.Error != nil:
		a.untold = said.Warnings
		return &reportedError{*said.Error, child.ProcessState.ExitCode()}
	}
	res := said.result()
	return a.sayEnsured(&res, err)
}

// sayEnsured says in a launch what became of a call of ensure.
func (a *app) sayEnsured(res *ensure.Result, err error) error {
	if err != nil {
		a.untold = texts(res.Warnings)
		return err
	}
	a.sayWarnings(texts(res.Warnings))
	if a.verbose {
		a.say("%s", ensureLine(res))
	}
	return nil
}

// ownProgram returns a path that leads to this very program. Root's does so whatever stands at its
// path by now. For everyone else it is the path itself where that is still the same file, for the
// name of a process is the last part of it. Where there is no /proc, it is what this process was
// started by.
func ownProgram() (string, error) {
	const exe = "/proc/self/exe"
	me := os.Geteuid()
	self, err := os.Executable()
	if info, none := os.Stat(exe); none == nil {
		if at, err := os.Stat(self); me != 0 && err == nil && os.SameFile(at, info) {
			return self, nil
		}
		return exe, nil
	}
	if err == nil {
		return self, nil
	}
	if len(os.Args) == 0 || os.Args[0] == "" {
		return "", err
	}
	self = os.Args[0]
	if !strings.ContainsRune(self, filepath.Separator) {
		return safepath.LookPath(self, me)
	}
	if self, err = filepath.Abs(self); err == nil && me == 0 {
		err = safepath.Check(self, me)
	}
	return self, err
}

// withoutDashes returns the flags less the -- that ended them.
func withoutDashes(flags []string) []string {
	if n := len(flags); n > 0 && flags[n-1] == "--" {
		flags = flags[:n-1]
	}
	return slices.Clone(flags)
}
