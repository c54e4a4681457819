package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/launcher"
)

// launch makes sure of epmd and then becomes the program. flags are beamrun's own, as they were given.
func (a *app) launch(ctx context.Context, flags []string, program string, args []string) (code int, err error) {
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
	os.Unsetenv(cookie.SecretVar) // what is started from here on has no need of it
	if a.epmdless {
		c.Endpoint, err = a.withoutEpmd()
	} else {
		implied := a.takeEpmdPort(&c)
		if implied {
			flags = append(withoutDashes(flags), "--port", strconv.Itoa(a.port))
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
	c.Forward = true
	if a.wantWatch {
		runtime.GOMAXPROCS(1) // from here on it waits: a second processor would be woken in vain, each time
		c.Watch = a.watch()
	}
	if os.Getpid() == 1 {
		go reapStrangers()
	}
	if code, err = launcher.Run(ctx, c); err != nil {
		return 0, &programError{program, err}
	}
	return code, nil
}

// takeEpmdPort makes the program's own port of epmd (-epmd_port) that of this launch where nobody chose another one, and
// reports whether it did. Where somebody did, ERL_EPMD_PORT beats the program's own.
func (a *app) takeEpmdPort(c *launcher.Config) bool {
	own := launcher.EpmdPort(c.Program, c.Args, c.Env)
	chosen := os.Getenv("ERL_EPMD_PORT")
	switch {
	case own == 0:
	case a.port == 0 && chosen == "":
		a.port = own
		return true
	case a.port != 0 && a.port != own:
		a.sayWarnings([]string{fmt.Sprintf("the program's own -epmd_port %d does not count: --port %d sets ERL_EPMD_PORT, which beats it", own, a.port)})
	case a.port == 0 && chosen != strconv.Itoa(own):
		a.sayWarnings([]string{fmt.Sprintf("the program's own -epmd_port %d does not count: ERL_EPMD_PORT is %s, which beats it", own, printable(chosen))})
	}
	return false
}

// stays says that this process stays, as the program's parent.
func (a *app) stays() bool { return a.wantWatch || !launcher.CanExec }

// launchCookie returns the cookie to hand to the program, which is none when the program finds the right one itself.
func (a *app) launchCookie(args []string) (string, error) {
	if launcher.GivesCookie(args, os.Environ()) {
		if a.verbose {
			a.say("the program is given a cookie already; it is left alone, and will stand in the argument list, " +
				"for every user of the host to read")
		}
		return "", nil
	}
	// Whatever the source, a node boots with the user's file, and Erlang would make a missing one guessable.
	_, err := cookie.User.Cookie()
	if a.source == cookie.User {
		return "", err
	}
	if err != nil && !a.quiet {
		// A node with a name won't boot now, but the program may need none, or have one that we don't see (a release's
		// vm.args).
		a.say("warning: %v", err)
	}
	if a.source == (cookie.Source{}) { // nobody asked for a cookie
		return "", nil
	}
	return a.source.Cookie()
}

// launchEpmd makes sure of epmd. A daemon must not be started by the process that becomes the program: it would be the
// program's child, and a zombie once it ends, for few programs wait for children that they do not know (the Erlang VM
// ignores SIGCHLD and leaves none; a release's start script, or a supervisor, does not). So a short-lived
// `beamrun ensure` starts it, and init takes it over.
func (a *app) launchEpmd(ctx context.Context, flags []string, program string) (ensure.Endpoint, error) {
	res, err := ensure.Probe(ctx, a.epmd())
	var e *ensure.Error
	if !errors.As(err, &e) || e.Kind != ensure.KindDown {
		a.sayWarnings(res.Warnings)
		if err == nil && a.verbose {
			a.say("%s", ensureLine(&res))
		}
		return res.Endpoint, err
	}
	if root := launcher.ReleaseRoot(program); root != "" {
		os.Setenv("RELEASE_ROOT", root) // for package ensure, here and in the child; the program's environment is taken already
	}
	if a.stays() {
		res, err := ensure.Epmd(ctx, a.epmd())
		a.sayWarnings(res.Warnings)
		if err == nil && a.verbose {
			a.say("%s", ensureLine(&res))
		}
		return res.Endpoint, err
	}
	self, err := ownProgram()
	if err != nil {
		return res.Endpoint, fmt.Errorf("where this program's own file is: %w", err)
	}
	var out bytes.Buffer
	child := exec.CommandContext(ctx, self, append(withoutDashes(flags), "ensure")...)
	child.Args[0] = "beamrun"
	child.Stdout, child.Stderr = &out, a.stderr
	err = child.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Exited():
		a.stdout.Write(out.Bytes()) // with --json, its error
		return res.Endpoint, &printedError{exit.ExitCode()}
	case err != nil:
		return res.Endpoint, fmt.Errorf("beamrun ensure: %w", err)
	}
	if a.json { // then its warnings are in the result, which is not shown
		var said struct{ Warnings []string }
		err = json.Unmarshal(out.Bytes(), &said)
		a.sayWarnings(said.Warnings)
	}
	if a.verbose {
		a.say("%s", bytes.TrimSpace(out.Bytes()))
	}
	return res.Endpoint, err
}

// ownProgram returns a path that leads to this very program: on Linux whatever stands at its path by now.
func ownProgram() (string, error) {
	const exe = "/proc/self/exe"
	if _, err := os.Readlink(exe); err == nil {
		return exe, nil
	}
	return os.Executable()
}

// withoutDashes returns the flags less the -- that ended them.
func withoutDashes(flags []string) []string {
	if n := len(flags); n > 0 && flags[n-1] == "--" {
		flags = flags[:n-1]
	}
	return slices.Clone(flags)
}
