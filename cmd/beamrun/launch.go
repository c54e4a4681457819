package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/launcher"
)

// launch makes sure of epmd and then becomes the program. flags are beamrun's own, as they were given.
func (a *app) launch(ctx context.Context, flags []string, program string, args []string) (code int, err error) {
	c := launcher.Config{Program: program, Args: args}
	// what can't be launched needs no epmd
	if _, err := launcher.Command(ctx, c); err != nil {
		return 0, &programError{program, err}
	}
	if c.Cookie, err = a.launchCookie(args); err != nil {
		return 0, err
	}
	if c.Endpoint, err = a.launchEpmd(ctx, flags); err != nil {
		return 0, err
	}
	if launcher.CanExec {
		return 0, &programError{program, launcher.Exec(c)}
	}
	if code, err = launcher.Run(ctx, c); err != nil {
		return 0, &programError{program, err}
	}
	return code, nil
}

// launchCookie returns the cookie to hand to the program, which is none when it finds the right one itself.
func (a *app) launchCookie(args []string) (string, error) {
	if launcher.GivesCookie(args, os.Environ()) {
		if a.verbose {
			a.say("the program is given a cookie already; it is left alone")
		}
		return "", nil
	}
	if a.source != cookie.User {
		c, err := a.source.Cookie()
		if err != nil {
			return "", err
		}
		// The node boots with the user's file even so, and Erlang would make a missing one guessable.
		if _, err := cookie.User.Cookie(); err != nil && a.verbose {
			a.say("warning: %v", err)
		}
		return c, nil
	}
	_, err := cookie.User.Cookie()
	return "", err
}

// launchEpmd makes sure of epmd. A daemon must not be started by the process that becomes the program: it would be the
// program's child, which nobody waits for, and a zombie once it ends. So a short-lived `beamrun ensure` starts it.
func (a *app) launchEpmd(ctx context.Context, flags []string) (ensure.Endpoint, error) {
	if !launcher.CanExec {
		res, err := ensure.Epmd(ctx, a.epmd())
		return res.Endpoint, err
	}
	res, err := ensure.Probe(ctx, a.epmd())
	var e *ensure.Error
	if !errors.As(err, &e) || e.Kind != ensure.KindDown {
		if err == nil && a.verbose {
			a.say("%s", ensureLine(res))
		}
		return res.Endpoint, err
	}
	self, err := os.Executable()
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
	case errors.As(err, &exit):
		a.stdout.Write(out.Bytes()) // with --json, its error
		return res.Endpoint, &printedError{exit.ExitCode()}
	case err != nil:
		return res.Endpoint, fmt.Errorf("beamrun ensure: %w", err)
	}
	if a.verbose {
		a.say("%s", bytes.TrimSpace(out.Bytes()))
	}
	return res.Endpoint, nil
}

// withoutDashes takes off the -- that ended the flags.
func withoutDashes(flags []string) []string {
	if n := len(flags); n > 0 && flags[n-1] == "--" {
		flags = flags[:n-1]
	}
	return append([]string(nil), flags...)
}
