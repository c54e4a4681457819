package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
)

// A node that runs, one whose process is the same as another's, and a name whose port nobody listens on.
func TestNames(t *testing.T) {
	h := newHost(t)
	alice := h.command("beamrun", "erl", "-noinput", "-sname", "alice")
	h.node("alice", alice)
	// a real node registers the name; then it has no node of that name
	h.node("ghost", h.command("erl", "-noinput", "-eval", `{ok,_}=erl_epmd:start_link(), {ok,_}=erl_epmd:register_node("ghost",1).`))
	out := h.run("beamrun", "names")
	line := regexp.MustCompile(fmt.Sprintf(`\Aghost 1  +stale\nalice (\d+) %d +beam\.smp alive\n\z`, alice.Process.Pid)).FindStringSubmatch(out)
	if line == nil {
		t.Fatalf("names: %q, alice is process %d", out, alice.Process.Pid)
	}
	port := line[1]
	aliceJSON := fmt.Sprintf(`{"name":"alice","port":%s,"pid":%d,"program":"beam.smp","alive":true}`, port, alice.Process.Pid)
	const ghostJSON = `{"name":"ghost","port":1,"alive":false}`
	for args, want := range map[string]string{
		"--json names":         `{"nodes":[` + ghostJSON + "," + aliceJSON + "]}\n",
		"names alice":          port + "\n",
		"names alice@h -v":     port + "\n",
		"names ghost":          "1\n",
		"names alice@h --json": aliceJSON + "\n",
		"names ghost --json":   ghostJSON + "\n",
	} {
		if got := h.run("beamrun", strings.Fields(args)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	t.Log("\n" + out)
}

// Another user's processes are alive, and no more is known of them.
func TestNamesOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		epmdtest.Skip(t, "only root can be another user")
	}
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	h.run("beamrun", "ensure")
	h.node("alice", h.command("erl", "-noinput", "-sname", "alice"))
	for flag, want := range map[string]string{"-v": `\Aalice \d+ alive\n\z`, "--json": `\A\{"nodes":\[\{"name":"alice","port":\d+,"alive":true\}\]\}\n\z`} {
		cmd := h.command(beamrun, flag, "names")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.Output(); err != nil || !regexp.MustCompile(want).Match(out) {
			t.Errorf("%s: %q, %v", flag, out, err)
		}
	}
}

// Of many names the list tells no pids unless it is asked to. The names are those of the test itself.
func TestManyNames(t *testing.T) {
	server := epmdtest.New(t)
	for i := range fewNames {
		server.Register(fmt.Sprint("n", i), server.Port()) // a port that somebody listens on
	}
	own := fmt.Sprint(" ", os.Getpid(), " ")
	run := func(args ...string) string {
		t.Helper()
		h := &host{t, t.TempDir(), server.Port()}
		begin := time.Now()
		out := h.run("beamrun", args...)
		t.Logf("%q: %v", args, time.Since(begin))
		return out
	}
	if n := strings.Count(run("names"), own); n != fewNames {
		t.Errorf("%d names, %d pids", fewNames, n)
	}
	server.Register("more", server.Port())
	if out := run("names"); strings.Contains(out, own) || strings.Count(out, " alive\n") != fewNames+1 {
		t.Errorf("with one more: %s", out)
	}
	if n := strings.Count(run("names", "-v"), own); n != fewNames+1 {
		t.Errorf("-v: %d pids", n)
	}
	var got struct{ Nodes []struct{ PID int } }
	if err := json.Unmarshal([]byte(run("names", "--json")), &got); err != nil || len(got.Nodes) != fewNames+1 || got.Nodes[fewNames].PID != os.Getpid() {
		t.Errorf("--json: %+v, %v", got, err)
	}
}
