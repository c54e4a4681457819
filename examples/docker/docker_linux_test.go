package docker

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure/epmdtest"
)

// The image is built, and two containers of it find each other and stop in order. The base images are stand-ins: this
// machine's own Go, Erlang and Elixir.
func TestCompose(t *testing.T) {
	epmdtest.Need(t, "elixir", "podman", "podman-compose", "crun", "ip", "unshare")
	if _, err := os.Stat("/usr/lib/podman/netavark"); err != nil {
		epmdtest.Skip(t, "netavark, podman's network, is not installed")
	}
	if os.Getuid() != 0 {
		epmdtest.Skip(t, "only root can make such namespaces")
	}
	script, err := filepath.Abs("testdata/up.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "env", "-json", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	var env struct{ GOROOT, GOMODCACHE, GOCACHE string }
	if err != nil || json.Unmarshal(out, &env) != nil {
		t.Fatal(err, string(out))
	}
	const secret = "a secret that all nodes have"
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child",
		"sh", script, filepath.Join(script, "../../../.."), env.GOROOT, env.GOMODCACHE, env.GOCACHE)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "BEAMRUN_SECRET="+secret)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	_, after, _ := strings.Cut(string(text), "== processes\n")
	processes, stopped, _ := strings.Cut(after, "== stop\n")
	t.Logf("\n%s", processes)
	key, _ := cookie.Derive([]byte(secret), "demo")
	for _, line := range []string{`(?m)^1000 +1 +0 .*beam\.smp .* -sname demo`, `(?m)^1000 +\d+ +1 Ss +epmd -port 4369$`} {
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
		"demo_one_1 exit code 0", "demo@one stopped", "demo_two_1 exit code 0", "demo@two stopped", "took [0-4] s",
	} {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(stopped) {
			t.Errorf("no line %q in\n%s", line, stopped)
		}
	}
}
