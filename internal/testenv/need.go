package testenv

import (
	"os"
	"os/exec"
	"testing"
)

// noSkipVar is the environment variable that makes a missing program fail a test. CI sets it, so
// that nothing passes there that did not run.
const noSkipVar = "BEAMRUN_NOSKIP"

// Need skips the test unless every program is on PATH.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			Skip(t, p+" is not on PATH (Debian, Ubuntu: apt-get install erlang-base elixir)")
		}
	}
}

// Skip skips the test, with that reason; where BEAMRUN_NOSKIP is set it fails it.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(noSkipVar) != "" {
		t.Fatalf("not skipped, for %s is set: %s", noSkipVar, why)
	}
	t.Skip(why)
}
