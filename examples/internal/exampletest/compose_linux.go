package exampletest

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// Compose runs the example's testdata/up.sh, which brings it up with podman-compose, and returns
// what that prints. The base images are stand-ins: this machine's own programs.
func Compose(t *testing.T, secret string) string {
	t.Helper()
	testenv.Need(t, "podman", "podman-compose", "crun", "ip", "unshare")
	if _, err := os.Stat("/usr/lib/podman/netavark"); err != nil {
		testenv.Skip(t, "netavark, podman's network, is not installed")
	}
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make such namespaces")
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
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--mount", "--pid", "--mount-proc",
		"--fork", "--kill-child",
		"sh", script, filepath.Join(script, "../../../.."), env.GOROOT, env.GOMODCACHE, env.GOCACHE)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "BEAMRUN_SECRET="+secret)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return string(text)
}
