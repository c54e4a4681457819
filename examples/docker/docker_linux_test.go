package docker

import (
	"regexp"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/examples/internal/exampletest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// The image is built, and two containers of it find each other and stop in order. The base images
// are stand-ins: this machine's own Go, Erlang and Elixir.
func TestCompose(t *testing.T) {
	testenv.Need(t, "elixir")
	const secret = "a secret that all nodes have"
	text := exampletest.Compose(t, secret)
	_, after, _ := strings.Cut(text, "== processes\n")
	processes, stopped, _ := strings.Cut(after, "== stop\n")
	t.Logf("\n%s", processes)
	key, _ := cookie.Derive([]byte(secret), "demo")
	for _, line := range []string{
		`(?m)^1000 +1 +0 .*beam\.smp .* -sname demo`, `(?m)^1000 +\d+ +1 Ss +epmd -port 4369$`,
	} {
		if !regexp.MustCompile(line).MatchString(processes) {
			t.Errorf("no process %s", line)
		}
	}
	for _, word := range []string{"defunct", secret, key} {
		if strings.Contains(processes, word) {
			t.Errorf("%q in the list of processes", word)
		}
	}
	for _, line := range []string{
		"demo_one_1 exit code 0", "demo@one stopped",
		"demo_two_1 exit code 0", "demo@two stopped", "took [0-4] s",
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(stopped) {
			t.Errorf("no line %q in\n%s", line, stopped)
		}
	}
}
