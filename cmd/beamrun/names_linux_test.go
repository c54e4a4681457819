package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// A node that runs, one whose process is the same as another's, and a name whose port nobody
// listens on.
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
		"--json names":                 `{"nodes":[` + ghostJSON + "," + aliceJSON + "]}\n",
		"names alice":                  port + "\n",
		"names alice@localhost -v":     port + "\n",
		"names ghost":                  "1\n",
		"names alice@localhost --json": aliceJSON + "\n",
		"names ghost --json":           ghostJSON + "\n",
	} {
		if got := h.run("beamrun", strings.Fields(args)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got := h.run("beamrun", "names", "alice@"+own); got != port+"\n" {
		t.Errorf("by this host's name: %q", got)
	}
	// epmd knows names without a host, so it would answer for this host's alice
	for _, other := range []string{"192.0.2.7", "other.invalid"} {
		for _, command := range []string{"names", "repair"} {
			cmd := h.command("beamrun", command, "alice@"+other)
			cmd.Stdout, cmd.Stderr = nil, nil
			out, err := cmd.CombinedOutput()
			want := "beamrun: node alice@" + other + ": " + other + " is not this host ("
			if cmd.ProcessState.ExitCode() != exitFailed || !strings.HasPrefix(string(out), want) {
				t.Errorf("%s %s: %v: %s", command, other, err, out)
			}
		}
	}
	t.Log("\n" + out)
}

// Nodes that do without epmd stand behind its own, and alone where there is none.
func TestNamesEpmdless(t *testing.T) {
	h := newRepairHost(t)
	says := func(want string, args ...string) {
		t.Helper()
		if out := h.run("beamrun", args...); !regexp.MustCompile(`\A` + want + `\z`).MatchString(out) {
			t.Errorf("%q: %q, want %q", args, out, want)
		}
	}
	fails := func(code int, kind string, args ...string) {
		t.Helper()
		if r := h.result(h.command("beamrun", append([]string{"--json"}, args...)...)); r.code != code || !strings.Contains(r.stdout, `{"error":{"kind":"`+kind+`"`) {
			t.Errorf("%q: %+v", args, r)
		}
	}
	fails(exitNoEpmd, "down", "names")
	says("", "--epmdless", "names")
	says(`\{"nodes":\[\]\}\n`, "--epmdless", "--json", "names")

	boot := func(name string) *vm {
		return h.boot(append([]string{"beamrun", "--epmdless"}, erl("-sname", name)...)...)
	}
	a, b := boot("a"), boot("b")
	row := func(name string, v *vm) string {
		return fmt.Sprintf(`%s +\d+ +%d +beam(\.smp)? alive epmdless\n`, name, v.Process.Pid)
	}
	both := row("a", a) + row("b", b)
	port := h.run("beamrun", "names", "a")
	aJSON := fmt.Sprintf(`\{"name":"a","port":%s,"pid":%d,"program":"beam(\.smp)?","alive":true,"epmdless":true\}`, strings.TrimSpace(port), a.Process.Pid)
	for _, flag := range []string{"-v", "--epmdless"} {
		says(both, flag, "names")
		says(port, flag, "names", "a@localhost")
		says(aJSON+`\n`, flag, "--json", "names", "a")
		says(`\{"nodes":\[`+aJSON+`,\{"name":"b",.*\}\]\}\n`, flag, "--json", "names")
	}
	fails(exitNoEpmd, "down", "names", "nobody")
	fails(exitFailed, "not-registered", "--epmdless", "names", "nobody")

	// of two of one name epmd's is the first
	c := h.boot(append([]string{"beamrun"}, erl("-sname", "a")...)...)
	says(fmt.Sprintf(`a +\d+ %d +beam(\.smp)? alive\n`, c.Process.Pid)+both, "names")
	says(both, "--epmdless", "names")
	says(port, "--epmdless", "names", "a")
	if its := h.run("beamrun", "names", "a"); its == port {
		t.Errorf("names a is the port of the one that does without: %s", its)
	}
	fails(exitFailed, "not-registered", "names", "nobody")

	// what is no node's is none, and the dead have no name at once
	folder := filepath.Dir((&repairHost{host: h.host, name: "b"}).nodeFile(b))
	if err := os.Mkdir(filepath.Join(folder, "z.1"), 0o700); err != nil {
		t.Fatal(err)
	}
	a.end()
	says(row("b", b), "--epmdless", "names")
	if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
		t.Errorf("in the folder are %v, %v", left, err)
	}
	// an epmd that is no such epmd is an error all the same
	syscall.Kill(testenv.PID(h.port), syscall.SIGSTOP)
	fails(exitNoEpmd, "hung", "--timeout", "1s", "names")
	says(row("b", b), "--epmdless", "names")
}

// Each user has nodes of their own.
func TestNamesEpmdlessOfOthers(t *testing.T) {
	h := newRepairHost(t)
	h.needRoot()
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.as(otherUser, append([]string{beamrun, "--epmdless"}, erl("-sname", "theirs", "-eval", `io:format("booted~n")`)...)...)
	h.bootAs(cmd)
	h.boot(append([]string{"beamrun", "--epmdless"}, erl("-sname", "ours")...)...)
	if out := h.run("beamrun", "names"); !regexp.MustCompile(`\Aours \d+ \d+ +beam(\.smp)? alive epmdless\n\z`).MatchString(out) {
		t.Errorf("%q", out)
	}
	names := h.as(otherUser, beamrun, "names")
	names.Env = cmd.Env
	if r := h.result(names); !regexp.MustCompile(`\Atheirs \d+ \d+ +beam(\.smp)? alive epmdless\n\z`).MatchString(r.stdout) {
		t.Errorf("%+v", r)
	}
}

// Another user's processes are alive, and no more is known of them.
func TestNamesOfOthers(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can be another user")
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

// Of many names the list tells no pids unless it is asked to. The names are those of the test
// itself.
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
