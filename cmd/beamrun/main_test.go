package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The test binary plays beamrun: in scripts, and for every exec of "beamrun" in this package's
// tests.
func TestMain(m *testing.M) {
	testscript.Main(tidyM{m}, testCommands)
}

var testCommands = map[string]func(){"beamrun": main}

type tidyM struct{ *testing.M }

// Run runs the tests and removes what is made once for all of them.
func (m tidyM) Run() int {
	defer func() { os.RemoveAll(builtDir) }()
	if hasRaceDetector && os.Getenv("BEAMRUN_RACE") == "" {
		useBuilt()
	}
	return m.M.Run()
}

// builtDir is made where something is built, see build_linux_test.go.
var builtDir string

// setupScript gives a script a home directory of its own and nothing of ours in its environment.
func setupScript(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	env.Setenv("HOME", home)
	env.Setenv("USERPROFILE", home)
	env.Setenv("BEAMRUN_DETACH", "session")
	return os.MkdirAll(home, 0o700)
}

// scriptCommands adds "exitcode N PROGRAM [ARG...]": the program has to end with that exit code.
var scriptCommands = map[string]func(*testscript.TestScript, bool, []string){
	"exitcode": func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) < 2 {
			ts.Fatalf("usage: exitcode N PROGRAM [ARG...]")
		}
		err := ts.Exec(args[1], args[2:]...)
		got := 0
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			got = exit.ExitCode()
		} else if err != nil {
			ts.Fatalf("%v", err)
		}
		if strconv.Itoa(got) != args[0] {
			ts.Fatalf("exit code %d, want %s", got, args[0])
		}
	},
}

// What needs no Erlang runs everywhere.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Setup: setupScript,
		Cmds: scriptCommands, RequireExplicitExec: true})
}
