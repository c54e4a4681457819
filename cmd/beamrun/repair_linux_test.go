package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/testenv"
)

// repairHost is a host with nodes that epmd does not know.
type repairHost struct {
	*host
	name    string   // that nodes of no other test have
	secrets []string // the cookies
}

func newRepairHost(t testing.TB) *repairHost {
	t.Helper()
	h := &repairHost{host: newHost(t), secrets: []string{ofUser}}
	h.name = fmt.Sprint("alice_", h.port)
	h.setCookie(ofUser)
	return h
}

// withoutEpmd has a node do without epmd on a port of its own choice; where an epmd runs, OTP
// registers it all the same.
var withoutEpmd = []string{"-start_epmd", "false", "-erl_epmd_port", "0"}

// erl is the command line of a small node.
func erl(args ...string) []string {
	return append([]string{"erl", "-noinput", "+S", "1:1", "+A", "0"}, args...)
}

// lost is that of one without epmd.
func lost(name string, args ...string) []string {
	return erl(append(append([]string{"-sname", name}, withoutEpmd...), args...)...)
}

// vm is an Erlang VM in the background.
type vm struct {
	*host
	*exec.Cmd
	log *lockedBuffer // all that it prints
}

// boot starts a command that becomes an Erlang VM, and waits until that has booted. The test ends
// it.
func (h *repairHost) boot(args ...string) *vm {
	h.t.Helper()
	return h.bootAs(h.lasting(args[0], append(args[1:], "-eval", `io:format("booted~n")`)...))
}

func (h *repairHost) bootAs(cmd *exec.Cmd) *vm {
	h.t.Helper()
	v := &vm{h.host, cmd, new(lockedBuffer)}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = v.log, v.log, 5*time.Second
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(v.end)
	for deadline := time.Now().Add(50 * time.Second); !strings.Contains(v.log.String(), "booted\n"); time.Sleep(2 * time.Millisecond) {
		if cmd.Process.Signal(syscall.Signal(0)) != nil || time.Now().After(deadline) || strings.Contains(v.log.String(), "Crash dump") {
			h.t.Fatalf("%q did not boot: %s", cmd.Args, v.log.String())
		}
	}
	return v
}

func (v *vm) end() {
	v.Process.Kill()
	v.Wait()
}

// endSilent ends it, and has it have printed nothing.
func (v *vm) endSilent() {
	v.t.Helper()
	time.Sleep(20 * time.Millisecond) // for its logger
	v.end()
	if log := v.log.String(); log != "booted\n" {
		v.t.Errorf("its log: %s", log)
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// result is what `beamrun repair` did.
type result struct {
	code           int
	stdout, stderr string
}

// repair runs `beamrun repair`. No cookie is in what it prints.
func (h *repairHost) repair(args ...string) result {
	h.t.Helper()
	r := h.result(h.command("beamrun", append([]string{"repair"}, args...)...))
	r.stdout = epmdStarted.ReplaceAllString(r.stdout, "") // as it is where no test has started one before
	return r
}

var epmdStarted = regexp.MustCompile(`^epmd on \S+: started \S+, pid \d+, in \S+\n`)

func (h *repairHost) result(cmd *exec.Cmd) result {
	h.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // else each takes a second more under -race
	err := cmd.Run()
	r := result{0, stdout.String(), stderr.String()}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		r.code = exit.ExitCode()
	} else if err != nil {
		h.t.Fatal(err)
	}
	for _, secret := range h.secrets {
		if strings.Contains(r.stdout+r.stderr, secret) {
			h.t.Errorf("%q printed a cookie: %+v", cmd.Args, r)
		}
	}
	return r
}

var registeredAgain = regexp.MustCompile(`^\S+?(, hidden)? \(pid \d+, port \d+\): registered again, in \S+\n$`)

// mustRepair repairs the node, which has to have lost its name.
func (h *repairHost) mustRepair(args ...string) {
	h.t.Helper()
	if r := h.repair(args...); r.code != 0 || r.stderr != "" || !registeredAgain.MatchString(r.stdout) {
		h.t.Errorf("repair %q: %+v", args, r)
	}
}

func (h *repairHost) addr() string { return fmt.Sprintf("127.0.0.1:%d", h.port) }

// has reports whether epmd has the name.
func (h *repairHost) has(name string) bool {
	_, err := epmd.Lookup(h.t.Context(), testenv.Loopback(h.port), name)
	if err != nil && !errors.Is(err, epmd.ErrNotRegistered) {
		h.t.Error(err)
	}
	return err == nil
}

// ping has another node look for this one, by its name.
func (h *repairHost) ping(node string, args ...string) {
	h.t.Helper()
	ask := fmt.Sprintf(`io:format("~p", [net_adm:ping('%s')]), halt().`, node)
	args = append(erl("-sname", "third", "-eval", ask), args...)
	if out := h.run(args[0], args[1:]...); out != "pong" {
		h.t.Errorf("ping %s: %s", node, out)
	}
}

// An epmd that dies and comes back: before OTP 23.3 its nodes stay lost, later ones return within 2
// s. `beamrun repair` brings back either at once, for as long as the node lives, and no process of
// ours is needed for that.
func TestRepairAfterEpmdsEnd(t *testing.T) {
	t.Parallel()
	h := newRepairHost(t)
	v := h.boot(append([]string{"beamrun"}, erl("-sname", "alice")...)...)
	node := "alice@" + shortHostname()
	testenv.Kill(t, h.port)
	h.run("beamrun", "ensure")
	returns := false
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end) && !returns; time.Sleep(20 * time.Millisecond) {
		returns = h.has("alice")
	}
	t.Logf("the node returns by itself: %v", returns)
	if returns {
		if r := h.repair(); r != (result{0, "no node has lost its name\n", ""}) {
			t.Errorf("%+v", r)
		}
		testenv.Kill(t, h.port)
	} else if r := h.repair("--dry-run"); r.code != 0 || !strings.HasPrefix(r.stdout, node+" (pid ") || !strings.HasSuffix(r.stdout, ": has lost its name\n") || h.has("alice") {
		t.Errorf("%+v", r)
	}
	h.mustRepair()
	if !h.has("alice") {
		t.Error("it is not registered")
	}
	h.ping(node)
	for _, pid := range pids() {
		environ := testenv.ReadStart("/proc/" + pid + "/environ")
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		if bytes.Contains(environ, fmt.Appendf(nil, "\x00ERL_EPMD_PORT=%d\x00", h.port)) && !regexp.MustCompile(`^(beam|epmd|erl_child|inet_geth)`).Match(name) {
			t.Errorf("left: %s", name)
		}
	}
	if r := h.repair(node); r.code != 0 || !regexp.MustCompile(`^`+node+`: is registered, at port \d+\n$`).MatchString(r.stdout) {
		t.Errorf("%+v", r)
	}
	if returns {
		time.Sleep(2500 * time.Millisecond) // then its own attempt is due
		if !h.has("alice") {
			t.Error("it has lost its name again")
		}
	}
	v.endSilent()
	for deadline := time.Now().Add(10 * time.Second); h.has("alice"); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it has its name after its end")
		}
	}
}

// A node that was started without an epmd never gets its name by itself. It is repaired when it is
// named, and only then.
func TestRepairByName(t *testing.T) {
	t.Parallel()
	// localhost is not everywhere a name of ::1
	hosts := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(hosts, []byte(`{host, {0,0,0,0,0,0,0,1}, ["six.test"]}. {lookup, [file]}.`), 0o600); err != nil {
		t.Fatal(err)
	}
	onIPv6 := append([]string{"-proto_dist", "inet6_tcp", "-kernel", "inetrc", strconv.Quote(hosts)}, withoutEpmd...)
	for what, c := range map[string]struct {
		node string // its full name
		args []string
		as   []string // of those who look for it
	}{
		"short name": {node: "alice@" + shortHostname(), args: lost("alice")},
		"hidden":     {node: "alice@" + shortHostname(), args: lost("alice", "-hidden")},
		"long name":  {node: "alice@127.0.0.1", args: erl(append([]string{"-name", "alice@127.0.0.1"}, withoutEpmd...)...), as: []string{"-name", "third@127.0.0.1"}},
		"IPv6": {node: "alice@six.test", args: erl(append(onIPv6, "-name", "alice@six.test")...),
			as: append(onIPv6[:5:5], "-name", "third@six.test")},
		"named later": {node: "alice@" + shortHostname(), args: erl(append(withoutEpmd, "-eval", "{ok,_}=net_kernel:start([alice,shortnames])")...)},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newRepairHost(t)
			h.boot(c.args...)
			h.run("beamrun", "ensure")
			if r := h.repair(); r != (result{0, "no node has lost its name\n", ""}) {
				t.Errorf("%+v", r)
			}
			if h.has("alice") {
				t.Error("it has its name already")
			}
			h.mustRepair("alice")
			if r := h.repair("--json", c.node); r.code != 0 || !strings.Contains(r.stdout, `"state":"registered"`) {
				t.Errorf("%+v", r)
			}
			if c.as == nil {
				h.ping(c.node)
			} else if out := h.run("erl", append(c.as, "-noinput", "-eval", fmt.Sprintf(`io:format("~p", [net_adm:ping('%s')]), halt().`, c.node))...); out != "pong" {
				t.Errorf("ping: %s", out)
			}
		})
	}
}

// nodeFile is the file by which a node is registered that does without epmd, "" if there is none.
func (h *repairHost) nodeFile(v *vm) string {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.home, ".cache/beamrun/nodes-*", fmt.Sprintf("%s.%d", h.name, v.Process.Pid)))
	if err != nil || len(files) > 1 {
		h.t.Fatalf("%q, %v", files, err)
	}
	return strings.Join(files, "")
}

func (h *repairHost) awaitFile(v *vm) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); h.nodeFile(v) == ""; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatal("it has made no file anew")
		}
	}
}

// A node that does without epmd has lost nothing: it is not found, and when it is named, it is
// registered, as it is.
func TestRepairEpmdless(t *testing.T) {
	t.Parallel()
	h := newRepairHost(t)
	v := h.boot(append([]string{"beamrun", "--epmdless"}, erl("-sname", h.name)...)...)
	later := h.boot(append([]string{"beamrun", "--epmdless"}, erl("-eval", fmt.Sprintf("{ok,_}=net_kernel:start([%s_later,shortnames])", h.name))...)...)
	h.run("beamrun", "ensure") // later than the nodes
	port := strings.TrimSpace(h.run("beamrun", "names", h.name))
	for _, args := range [][]string{nil, {"--dry-run"}} {
		if r := h.repair(args...); r != (result{0, "no node has lost its name\n", ""}) {
			t.Errorf("%q: %+v", args, r)
		}
	}
	for _, name := range []string{h.name, h.name + "@" + shortHostname()} {
		if r := h.repair(name); r != (result{0, fmt.Sprintf("%s: is registered, at port %s\n", name, port), ""}) {
			t.Errorf("%+v", r)
		}
	}
	if r := h.repair("--json", h.name+"_later"); r.code != 0 || !strings.Contains(r.stdout, `"state":"registered","port":`) ||
		!strings.Contains(r.stdout, fmt.Sprintf(`"pid":%d`, later.Process.Pid)) {
		t.Errorf("%+v", r)
	}
	if r := h.result(h.command("beamrun", "--epmdless", "repair")); r != (result{2, "", "beamrun: repair is about epmd, and --epmdless needs none\nhint: beamrun help repair\n"}) {
		t.Errorf("%+v", r)
	}
	if h.has(h.name) {
		t.Error("epmd has its name")
	}
	v.endSilent()
	if r := h.repair(h.name); r.code != 1 || !strings.Contains(r.stderr, ": not-found: ") {
		t.Errorf("after its end: %+v", r)
	}
}

// How long it takes for one and for twenty.
func TestRepairTakes(t *testing.T) {
	const rounds = 5
	h := newRepairHost(t)
	names := []string{}
	done := make(chan bool)
	for i := range 20 {
		names = append(names, fmt.Sprint("n", i))
	}
	for half := range 2 {
		go func() {
			defer func() { done <- true }()
			for i := half; i < len(names); i += 2 {
				h.boot(lost(names[i])...)
			}
		}()
	}
	<-done
	<-done
	for _, n := range []int{1, 20} {
		var took []time.Duration
		repaired := 0
		for range rounds {
			testenv.Kill(t, h.port)
			h.run("beamrun", "ensure")
			begin := time.Now()
			r := h.repair(names[:n]...)
			took = append(took, time.Since(begin))
			again := strings.Count(r.stdout, ": registered again, in ")
			byItself := strings.Count(r.stdout, ": is registered, at port ") // on a slow machine, after 2 s
			if r.code != 0 || again+byItself != n {
				t.Errorf("of %d nodes %d were registered again, %d by themselves: %+v", n, again, byItself, r)
			}
			repaired += again
			for _, name := range names[:n] {
				if !h.has(name) {
					t.Errorf("%s is not registered", name)
				}
			}
		}
		if repaired == 0 {
			t.Errorf("of %d nodes none was registered again in %d rounds", n, rounds)
		}
		slices.Sort(took)
		t.Logf("repair of %d nodes of 20: %v (median of %d)", n, took[rounds/2].Round(100*time.Microsecond), rounds)
	}
}

// To look a hundred times changes nothing, and leaves no line in the node's log.
func TestRepairDryRun(t *testing.T) {
	t.Parallel()
	h := newRepairHost(t)
	v := h.boot(lost("alice")...)
	if r := h.repair("--dry-run", "alice"); r.code != 0 || !strings.HasSuffix(r.stdout, ": has lost its name\n") || testenv.PID(h.port) != 0 {
		t.Errorf("without an epmd: %+v, and an epmd with pid %d", r, testenv.PID(h.port))
	}
	h.run("beamrun", "ensure")
	const n = 100
	for range n {
		if r := h.repair("--dry-run", "alice"); r.code != 0 || !strings.HasSuffix(r.stdout, ": has lost its name\n") || r.stderr != "" {
			t.Fatalf("%+v", r)
		}
	}
	if out := h.run("beamrun", "names"); out != "" {
		t.Errorf("names: %q", out)
	}
	h.mustRepair("alice")
	atoms := func() int {
		ask := fmt.Sprintf(`io:format("~p", [rpc:call('alice@%s', erlang, system_info, [atom_count])]), halt().`, shortHostname())
		count, err := strconv.Atoi(h.run("erl", "-noinput", "-sname", "third", "-hidden", "-eval", ask))
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
	before := atoms()
	for range 10 {
		h.repair("--dry-run", "alice") // is registered: not even asked
	}
	if after := atoms(); after != before {
		t.Errorf("%d atoms, then %d", before, after)
	}
	v.endSilent()
}

// A cookie from wherever is found: each node is repaired without --cookie.
func TestRepairFindsTheCookie(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c")
	if err := os.WriteFile(file, []byte("Ck7infile"), 0o400); err != nil {
		t.Fatal(err)
	}
	t.Setenv("MY_COOKIE", "Ck7inenv")
	t.Setenv("BEAMRUN_SECRET", "secret")
	const inElixir = `IO.puts("booted"); :timer.sleep(:infinity)`
	h := newRepairHost(t)
	h.secrets = append(h.secrets, "Ck7")
	nodes := map[string][]string{
		"plain":   erl("-sname", "plain"),
		"erlang":  erl("-sname", "erlang", "-setcookie", "Ck7given"),
		"elixir":  {"elixir", "--sname", "elixir", "--cookie", "Ck7given", "-e", inElixir},
		"release": {"sh", "-c", `exec elixir --sname release --cookie "$RELEASE_COOKIE" -e "$0"`, inElixir},
	}
	for _, source := range []string{"user", "fresh", "file:" + file, "env:MY_COOKIE", "derive:label"} {
		name, _, _ := strings.Cut(source, ":")
		nodes[name] = append([]string{"beamrun", "--cookie", source}, erl("-sname", name)...)
	}
	h.run("beamrun", "ensure")
	for name, args := range nodes {
		if name != "elixir" && name != "release" {
			args = append(args, "-eval", `io:format("booted~n")`)
		}
		cmd := h.lasting(args[0], args[1:]...)
		if name == "release" { // elsewhere beamrun would hand out none
			cmd.Env = append(cmd.Env, "RELEASE_COOKIE=Ck7release")
		}
		h.bootAs(cmd)
	}
	testenv.Kill(t, h.port)
	r := h.repair()
	if r.code != 0 || r.stderr != "" || strings.Count(r.stdout, ": registered again, in ") != len(nodes) {
		t.Errorf("%+v", r)
	}
	for name := range nodes {
		if !h.has(name) {
			t.Errorf("%s is not registered", name)
		}
	}
}

// hold registers a name without a node, for a port where nobody listens.
func (h *repairHost) hold(name string) {
	h.t.Helper()
	c, err := net.Dial("tcp", h.addr())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	request := append([]byte{'x', 0, 1, 77, 0, 0, 6, 0, 5, 0, byte(len(name))}, append([]byte(name), 0, 0)...)
	c.Write(append([]byte{0, byte(len(request))}, request...))
	reply := make([]byte, 6)
	if _, err := io.ReadFull(c, reply); err != nil || reply[1] != 0 {
		h.t.Fatalf("%q, %v", reply, err)
	}
}

// attempted is one of --json.
type attempted struct {
	Name, State string
	Error       report
}

// attempts runs `beamrun repair --json`.
func (h *repairHost) attempts(args ...string) (all []attempted) {
	h.t.Helper()
	var out struct{ Nodes []attempted }
	r := h.repair(append([]string{"--json"}, args...)...)
	if err := json.Unmarshal([]byte(r.stdout), &out); err != nil {
		h.t.Errorf("%+v: %v", r, err)
	}
	return out.Nodes
}

// A cookie that is given is shown to this user's own nodes alone.
func TestRefuseStrangers(t *testing.T) {
	ours, theirs, cannot := &attempt{state: "lost"}, &attempt{state: "lost"}, &attempt{state: "lost", err: errors.New("lost anyway")}
	ours.node.UID, theirs.node.UID, cannot.node.UID = os.Geteuid(), os.Geteuid()+1, os.Geteuid()+1
	refuseStrangers([]*attempt{ours, theirs, cannot})
	var e *orphan.Problem
	if ours.err != nil || !errors.As(theirs.err, &e) || e.Kind != orphan.KindUser || errors.As(cannot.err, &e) {
		t.Errorf("%v, %v, %v", ours.err, theirs.err, cannot.err)
	}
}

// The emergency itself: epmd has died, and nodes run. A dry run says which have lost their names
// and starts nothing; then repair says that it started epmd, and gives them back.
func TestRepairWithoutEpmd(t *testing.T) {
	t.Parallel()
	h := newRepairHost(t)
	h.boot(append([]string{"beamrun"}, erl("-sname", h.name)...)...)
	testenv.Kill(t, h.port)
	node := h.name + "@" + shortHostname()
	for range 2 {
		if r := h.repair("--dry-run"); r.code != 0 || r.stderr != "" || !regexp.MustCompile(`^`+node+` \(pid \d+, port \d+\): has lost its name\n$`).MatchString(r.stdout) {
			t.Errorf("dry run: %+v", r)
		}
	}
	if testenv.PID(h.port) != 0 {
		t.Error("a dry run has started an epmd")
	}
	if r := h.result(h.command("beamrun", "repair")); r.code != 0 || r.stderr != "" ||
		!regexp.MustCompile(`^epmd on \S+: started \S+, pid \d+, in \S+\n`+node+` \(pid \d+, port \d+\): registered again, in \S+\n$`).MatchString(r.stdout) {
		t.Errorf("repair: %+v", r)
	}
	if !h.has(h.name) {
		t.Error("it does not have its name")
	}
}
