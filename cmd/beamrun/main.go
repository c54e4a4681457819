// One goroutine and one short wait need no count of the cgroup's processors: without it, a start is
// 1 % faster and holds no descriptors of the cgroup's files.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// Command beamrun makes sure that epmd answers and then becomes the Erlang or Elixir program that
// it is given.
//
// This directory only wires: the work is done by the packages ensure, launcher and cookie. One file
// holds one command; flags.go the flags, output.go the words and exit codes, help.go the manual.
package main

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/beamrun/beamrun/ensure"
)

// app is one run of beamrun.
type app struct {
	options
	stdout, stderr io.Writer
	untold         []string // warnings that go with the error, as ensure returns both
	waiting        func(ensure.Endpoint)
	waitingSaid    sync.Once
}

func main() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) }

// command is one of beamrun's own; any other first word is a program, and then it is nil.
func command(name string) func(*app, context.Context, []string) error {
	switch name {
	case "ensure":
		return (*app).ensure
	case "names":
		return (*app).names
	case "doctor":
		return (*app).doctor
	case "stop":
		return (*app).stop
	case "repair":
		return (*app).repair
	case "cookie":
		return (*app).cookie
	case "version":
		return (*app).version
	case "help":
		return (*app).help
	case helperCommand:
		return (*app).helper
	}
	return nil
}

var errDryRun = &usageError{"--dry-run is for repair alone", "beamrun repair --dry-run"}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	code, err := a.dispatch(ctx, args)
	if err != nil {
		return a.fail(err)
	}
	return code
}

// dispatch runs a command of beamrun's or becomes the program. Only a program that ran as a child
// has an exit code other than 0 without an error.
func (a *app) dispatch(ctx context.Context, args []string) (code int, err error) {
	words, literal, err := a.parse(args)
	if err != nil {
		return 0, err
	}
	if a.wantVersion {
		return 0, a.version(ctx, nil)
	}
	if a.wantHelp {
		return 0, a.help(ctx, words)
	}
	if len(words) == 0 {
		return 0, &usageError{
			"no command and no program given",
			"beamrun iex --sname host; all commands: beamrun help",
		}
	}
	do := command(words[0])
	if do == nil || literal {
		if a.dryRun {
			return 0, errDryRun
		}
		return a.launch(ctx, args[:len(args)-len(words)], words[0], words[1:])
	}
	rest, err := a.parseCommand(words[1:])
	if err != nil {
		return 0, err
	}
	if a.wantHelp {
		return 0, a.help(ctx, words[:1])
	}
	if a.wantWatch {
		return 0, &usageError{
			"--watch needs a program: it watches while that runs",
			"beamrun --watch iex --sname host",
		}
	}
	if a.dryRun && words[0] != "repair" {
		return 0, errDryRun
	}
	if err := a.checkCommand(words[0]); err != nil {
		return 0, err
	}
	return 0, do(a, ctx, rest)
}

// epmd is the part of the options that ensure needs.
func (a *app) epmd() ensure.Config {
	return ensure.Config{
		Port: a.port, Addresses: a.address, Local: a.local, Program: a.epmdPath,
		Detach: a.detach, Timeout: a.timeout, Waiting: a.waiting,
	}
}
