package cluster

import (
	"regexp"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/examples/internal/exampletest"
)

// The same with containers: the image is built, three of it find each other, and one that was
// killed comes back.
func TestCompose(t *testing.T) {
	text := exampletest.Compose(t, secret)
	_, after, _ := strings.Cut(text, "== processes\n")
	processes, _, ok := strings.Cut(after, "== mesh again\n")
	if !ok {
		t.Fatal(text)
	}
	t.Logf("\n%s", processes)
	key, err := cookie.Derive([]byte(secret), "demo")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`(?m)^1000 +1 +0 .*beam\.smp .* -name app@host1\.example`,
		`(?m)^1000 +\d+ +1 Ss +epmd -port 4369$`,
	} {
		if !regexp.MustCompile(line).MatchString(processes) {
			t.Errorf("no process %s", line)
		}
	}
	for _, word := range []string{secret, key} {
		if strings.Contains(processes, word) {
			t.Errorf("%q in the list of processes", word)
		}
	}
}
