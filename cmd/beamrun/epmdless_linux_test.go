package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/internal/testenv"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// epmdlessHost is a host whose nodes do without epmd: nobody ever listens where one would be.
type epmdlessHost struct{ *repairHost }

func newEpmdlessHost(t *testing.T) epmdlessHost {
	t.Helper()
	h := epmdlessHost{newRepairHost(t)}
	t.Cleanup(func() {
		if c, err := net.Dial("tcp", h.addr()); err == nil {
			c.Close()
			t.Errorf("somebody listens on epmd's port: pid %d", testenv.PID(h.port))
		}
	})
	return h
}

// small is the command line, less beamrun's part, of a small node.
func small(args ...string) []string { return erl(append(args, "-hidden")...) }

// beamrun boots a node by beamrun with these flags.
func (h epmdlessHost) beamrun(flags string, args ...string) *vm {
	h.t.Helper()
	return h.boot(append(append([]string{"beamrun"}, strings.Fields(flags)...), args...)...)
}

// directory is where the nodes' files are.
func (h epmdlessHost) folder() string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.home, ".cache/beamrun/nodes-*"))
	if err != nil || len(found) != 1 {
		h.t.Fatalf("%q, %v", found, err)
	}
	return found[0]
}

// registered are the names in the directory.
func (h epmdlessHost) registered() (all []string) {
	h.t.Helper()
	entries, err := os.ReadDir(h.folder())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".")
		all = append(all, name)
	}
	return all
}

// ask is what a visitor's expression prints.
func (h epmdlessHost) ask(flags, expr string, args ...string) string {
	h.t.Helper()
	words := append([]string{"beamrun"}, strings.Fields(flags)...)
	words = append(words, small(append(args, "-eval", expr+", halt().")...)...)
	return h.run(words[0], words[1:]...)
}

// meshed waits until each of the nodes, asked by a visitor, sees all the others, and returns how long it took since begin.
func (h epmdlessHost) meshed(begin time.Time, flags string, nodes []string, visitor ...string) time.Duration {
	h.t.Helper()
	expr := fmt.Sprintf(`All = ['%s'], Wait = fun F() ->
		case [N || N <- All, net_kernel:connect_node(N) =/= true orelse All -- [N | case rpc:call(N, erlang, nodes, []) of L when is_list(L) -> L; _ -> [] end] =/= []] of
			[] -> io:format("meshed ~p", [erlang:system_time(millisecond)]);
			_ -> timer:sleep(10), F()
		end end, Wait()`, strings.Join(nodes, "','"))
	out := h.ask(flags, expr, visitor...)
	ms, err := strconv.ParseInt(strings.TrimPrefix(out, "meshed "), 10, 64)
	if err != nil {
		h.t.Fatalf("no mesh: %s", out)
	}
	return time.UnixMilli(ms).Sub(begin)
}

func at(host string, names ...string) (nodes []string) {
	for _, n := range names {
		nodes = append(nodes, n+"@"+host)
	}
	return nodes
}

// The README of epmdless, Docker Usage: three nodes of one name, each on an address of its own, all on one port. Beside it: with plain OTP.
func TestEpmdlessStaticPort(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	testenv.Need(t, "erl_call")
	port := strconv.Itoa(int(testenv.Port(t))) // free on all addresses
	static := "--epmdless --dist-port " + port
	var nodes []string
	start := func(i int, words ...string) {
		addr := fmt.Sprintf("127.0.0.%d", 11+i)
		nodes = append(nodes, "epmdless_test@"+addr)
		h.boot(append(words, erl("-name", nodes[i], "-kernel", "inet_dist_use_interface", "{"+strings.ReplaceAll(addr, ".", ",")+"}")...)...)
	}
	start(0, "beamrun", "--epmdless", "--dist-port", port)
	start(1, "beamrun", "--epmdless", "--dist-port", port)
	start(2, "env", "ERL_AFLAGS=-start_epmd false -erl_epmd_port "+port) // what one writes for OTP by itself
	visitor := []string{"-name", "visitor@127.0.0.1", "-dist_listen", "false"}
	out := h.ask(static, fmt.Sprintf(`io:format("~p", [[rpc:call('%s', net_adm, ping, [N]) || N <- ['%s', '%s']]])`, nodes[0], nodes[1], nodes[2]), visitor...)
	if out != "[pong,pong]" {
		t.Fatalf("a pings b and c: %s", out)
	}
	t.Logf("full mesh of 3 after %v", h.meshed(time.Now(), static, nodes, visitor...).Round(time.Millisecond))
	if opened, screen := h.opensShell("epmdless_test", "--epmdless", "--dist-port", port, "erl", "-name", "shell@127.0.0.1", "-remsh", nodes[1]); !opened {
		t.Errorf("erl -remsh: %s", screen)
	}
	if opened, screen := h.opensShell("shell", "--epmdless", "--dist-port", port, "iex", "--name", "shell@127.0.0.1", "--remsh", nodes[2]); !opened && !strings.Contains(screen, nodes[2]) {
		t.Errorf("iex --remsh: %s", screen)
	}
	if out := h.run("erl_call", "-r", "-address", "127.0.0.11:"+port, "-a", "erlang node []"); out != "'epmdless_test@127.0.0.11'" {
		t.Errorf("erl_call: %q", out)
	}
	// one node an address
	r := h.result(h.command("beamrun", append(strings.Fields(static), erl("-name", nodes[0]+"x", "-kernel", "inet_dist_use_interface", "{127,0,0,11}")...)...))
	if r.code == 0 || !strings.Contains(r.stdout+r.stderr, "eaddrinuse") {
		t.Errorf("a second node on an address: %+v", r)
	}
}

// A start script that is no release's and has a variable for the one port, as ejabberdctl: it starts the node, and what visits it.
func TestEpmdlessScript(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	port := strconv.Itoa(int(testenv.Port(t)))
	ctl := filepath.Join(t.TempDir(), "ctl")
	const text = `#!/bin/sh
[ -n "$ERL_DIST_PORT" ] && options="-erl_epmd_port $ERL_DIST_PORT -start_epmd false"
case $1 in
start)
	shift
	exec erl -noinput -sname server@localhost $options "$@";;
*)
	[ -n "$ERL_DIST_PORT" ] && options="$options -dist_listen false"
	exec erl -noinput -sname "ctl$$@localhost" $options -hidden -eval 'io:format("~p", [net_adm:ping(server@localhost)]), halt().'
esac
`
	if err := os.WriteFile(ctl, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	h.boot("env", "ERL_DIST_PORT=1", "beamrun", "-q", "--epmdless", "--dist-port", port, ctl, "start")
	for _, env := range []string{"A=1", "ERL_DIST_PORT=1"} {
		r := h.result(h.command("env", env, "beamrun", "--epmdless", "--dist-port", port, ctl, "ping"))
		if r.stdout != "pong" || strings.Contains(r.stderr, "ERL_DIST_PORT") != (env != "A=1") {
			t.Errorf("%s: %+v", env, r)
		}
	}
}

// A node that the program starts has its own -epmd_module, if it asks for one; else beamrun's, behind -extra and -- too.
func TestEpmdlessChildModule(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	const text = `#!/bin/sh
says() { erl -noinput -eval '
	Ours = case string:find(code:which(erl_epmd), "/beamrun/") of nomatch -> no; _ -> yes end,
	io:format("~p ~p, ", [net_kernel:epmd_module(), Ours]), halt().' "$@"; }
says -epmd_module global
says -extra -epmd_module x
says -- x
ERL_ZFLAGS="$ERL_ZFLAGS -extra x" says
`
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	out := h.run("beamrun", "--epmdless", script)
	if out != "global yes, erl_epmd yes, erl_epmd yes, erl_epmd yes, " {
		t.Errorf("%q", out)
	}
}

// RabbitMQ's server asks erl_epmd itself for its own port, and does not boot without it.
func TestEpmdlessRabbitMQ(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	port := strconv.Itoa(int(testenv.Port(t)))
	const ask = `{ok, N} = application:get_env(kernel, inet_dist_listen_min),
		{port, N, _} = erl_epmd:port_please("server", "localhost"),
		Gone = [erl_epmd:port_please("gone", H) || H <- ["localhost", {127,0,0,1}]],
		io:format("~p ~p", [Gone, net_adm:ping(gone@localhost)]),
		halt().`
	out := h.run("beamrun", "--epmdless", "erl", "-noinput", "-sname", "server@localhost",
		"-kernel", "inet_dist_listen_min", port, "inet_dist_listen_max", port, "-eval", ask)
	if out != "[noport,noport] pang" {
		t.Errorf("%q", out)
	}
}

// A node that another one starts by ssh has nothing of its environment. It is found if beamrun starts it there, too.
func TestEpmdlessWithoutEnvironment(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	if h.run("erl", "-noinput", "-eval", `io:format("~p", [code:which(peer)]), halt().`) == "non_existing" {
		testenv.Skip(t, "module peer is of OTP 25")
	}
	const start = `Start = fun(Words) -> {Pid, _} = spawn_monitor(fun() ->
			{ok, _, N} = peer:start(#{name => peer, host => "localhost", wait_boot => 5000, exec => {os:find_executable("env"),
				["-i", "HOME=" ++ os:getenv("HOME"), "PATH=" ++ os:getenv("PATH"), "ERL_EPMD_PORT=" ++ os:getenv("ERL_EPMD_PORT")] ++ Words}}),
			exit({started, N}) end), receive {'DOWN', _, _, Pid, {started, N}} -> N; {'DOWN', _, _, Pid, _} -> no end end,
		io:format("~p ~p", [Start(["erl", "-start_epmd", "false"]), Start(["beamrun", "--epmdless", "erl"])])`
	if out := h.ask("--epmdless", start, "-sname", "origin@localhost"); out != "no peer@localhost" {
		t.Errorf("%s", out)
	}
}

// The README of epmdless, Variable Ports: a, b and c on one host, each with a port of its own. There the mesh fails, c does not find b.
func TestEpmdlessVariablePorts(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	testenv.Need(t, "erl_call")
	begin := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		h.beamrun("--epmdless", erl("-sname", name+"@localhost")...)
	}
	nodes := at("localhost", "a", "b", "c")
	out := h.ask("--epmdless", `io:format("~p", [[rpc:call(N, net_adm, ping, ['a@localhost']) || N <- ['b@localhost', 'c@localhost']]])`, "-sname", "v@localhost")
	if out != "[pong,pong]" {
		t.Fatalf("b and c ping a: %s", out)
	}
	t.Logf("full mesh of 3, each started after the other, %v after the first start", h.meshed(begin, "--epmdless", nodes, "-sname", "v@localhost").Round(time.Millisecond))
	if opened, screen := h.opensShell("a", "--epmdless", "erl", "-sname", "shell@localhost", "-remsh", "a@localhost"); !opened {
		t.Errorf("erl -remsh: %s", screen)
	}
	if opened, screen := h.opensShell("shell", "--epmdless", "iex", "--sname", "shell@localhost", "--remsh", "a@localhost"); !opened && !strings.Contains(screen, "a@localhost") {
		t.Errorf("iex --remsh: %s", screen)
	}
	line := strings.Fields(h.read("b"))
	if out := h.run("erl_call", "-r", "-address", "127.0.0.1:"+line[1], "-a", "erlang node []"); out != "'b@localhost'" && out != "b@localhost" {
		t.Errorf("erl_call: %q", out)
	}
	// with plain OTP each would listen too, and none would be found
	h.boot("env", "ERL_AFLAGS=-start_epmd false -erl_epmd_port 0", "erl", "-noinput", "-sname", "plain@localhost")
	if out := h.run("env", "ERL_AFLAGS=-start_epmd false -erl_epmd_port 0", "erl", "-noinput", "-sname", "p@localhost", "-eval", `io:format("~p", [net_adm:ping('plain@localhost')]), halt().`); out != "pang" {
		t.Errorf("plain OTP: %s", out)
	}
	// Elixir, and a node that is named later
	if out := h.run("beamrun", "--epmdless", "elixir", "-e", `{:ok, _} = Node.start(:"late@localhost", :shortnames); IO.write Node.ping(:"a@localhost")`); out != "pong" {
		t.Errorf("Node.start: %s", out)
	}
}

// read is the file of a node.
func (h epmdlessHost) read(name string) string {
	h.t.Helper()
	found, _ := filepath.Glob(filepath.Join(h.folder(), name+".*"))
	if len(found) != 1 {
		h.t.Fatalf("%s has the files %q", name, found)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// Ten nodes at once, of which each knows one other: a full mesh. Nine are killed: their names are free at once. A name that is taken is
// refused as by epmd.
func TestEpmdlessTenNodes(t *testing.T) {
	h := newEpmdlessHost(t)
	const n = 10
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("n", i))
	}
	host := shortHostname()
	var vms [n]*vm
	start := func(from int) (begin time.Time) {
		begin = time.Now()
		var wg sync.WaitGroup
		for i := from; i < n; i++ {
			wg.Go(func() {
				// again and again: OTP's global may cut one off in the turmoil
				connect := fmt.Sprintf(`spawn(fun F() -> net_kernel:connect_node('n%d@%s'), timer:sleep(50), F() end)`, max(i-1, 0), host)
				vms[i] = h.beamrun("--epmdless", erl("-sname", names[i], "-connect_all", "true", "-eval", connect)...)
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
		return begin
	}
	begin := start(0)
	t.Logf("full mesh of %d, started at once, after %v", n, h.meshed(begin, "--epmdless", at(host, names...), "-sname", "v").Round(time.Millisecond))

	for _, v := range vms[1:] {
		v.Process.Kill() // and nobody waits for them yet
	}
	begin = start(1)
	t.Logf("nine killed and started anew at once: full mesh after %v", h.meshed(begin, "--epmdless", at(host, names...), "-sname", "v").Round(time.Millisecond))
	got := slices.DeleteFunc(h.registered(), func(name string) bool { return name == "v" })
	if slices.Sort(got); !slices.Equal(got, names) {
		t.Errorf("files of %q, want those of %q", got, names)
	}

	taken := h.result(h.command("beamrun", append([]string{"--epmdless"}, erl("-sname", "n3")...)...))
	other := newRepairHost(t)
	other.boot(append([]string{"beamrun"}, erl("-sname", "n3")...)...)
	asByEpmd := other.result(other.command("beamrun", erl("-sname", "n3")...))
	const says = "seems to be in use by another Erlang node"
	if taken.code == 0 || taken.code != asByEpmd.code || !strings.Contains(taken.stdout+taken.stderr, says) || !strings.Contains(asByEpmd.stdout+asByEpmd.stderr, says) {
		t.Errorf("a name that is taken: %+v; with epmd: %+v", taken, asByEpmd)
	}
}

// Peers that are named, one by one or in a file that changes, and nodes that epmd knows.
func TestEpmdlessPeers(t *testing.T) {
	t.Parallel()
	other := newEpmdlessHost(t)
	other.beamrun("--epmdless", erl("-name", "peer@127.0.0.1")...)
	port := strings.Fields(other.read("peer"))[1]

	h := newEpmdlessHost(t)
	ping := func(flags string) string {
		return h.ask("--epmdless "+flags, `io:format("~p", [net_adm:ping('peer@127.0.0.1')])`, "-name", "v@127.0.0.1")
	}
	if got := ping(""); got != "pang" {
		t.Errorf("another user's node: %s", got)
	}
	if got := ping("--peer x@127.0.0.1=1 --peer peer@127.0.0.1=" + port); got != "pong" {
		t.Errorf("--peer: %s", got)
	}
	file := filepath.Join(t.TempDir(), "peers")
	if err := os.WriteFile(file, []byte("# none yet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.beamrun("--epmdless --peers "+file, erl("-name", "a@127.0.0.1")...)
	viaA := func() string {
		return h.ask("--epmdless", `io:format("~p", [rpc:call('a@127.0.0.1', net_adm, ping, ['peer@127.0.0.1'])])`, "-name", "v@127.0.0.1")
	}
	if got := viaA(); got != "pang" {
		t.Errorf("an empty file: %s", got)
	}
	text := "# peers\r\n\n  other@127.0.0.1 = 1  # a remark\npeer@127.0.0.1=" + port + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := viaA(); got != "pong" {
		t.Errorf("the file has it now: %s", got)
	}
	for what, spoil := range map[string]func() error{
		"huge":   func() error { return os.WriteFile(file, []byte(strings.Repeat("x", 2<<20)), 0o600) },
		"binary": func() error { return os.WriteFile(file, []byte("\x00\xff=@\n=\n@=1\nx@y=99999\n"), 0o600) },
		"a pipe": func() error { return errors.Join(os.Remove(file), syscall.Mkfifo(file, 0o600)) },
		"gone":   func() error { return os.Remove(file) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		out := h.ask("--epmdless", `io:format("~p", [net_adm:ping('a@127.0.0.1')])`, "-name", "v@127.0.0.1")
		if out != "pong" {
			t.Errorf("a file of peers that is %s: %s", what, out)
		}
		os.Remove(file)
		os.WriteFile(file, nil, 0o600)
	}

	// epmd's nodes
	with := newRepairHost(t)
	with.boot(append([]string{"beamrun"}, erl("-sname", "old@localhost")...)...)
	mixed := epmdlessHost{with}
	mixed.beamrun("--epmdless", erl("-sname", "new@localhost")...)
	if out := mixed.ask("--epmdless", `io:format("~p ~p", [[net_adm:ping(N) || N <- ['old@localhost', 'new@localhost']], lists:sort([N || {N, _} <- element(2, net_adm:names())])])`, "-sname", "v@localhost"); out != `[pong,pong] ["new","old","v"]` {
		t.Errorf("beside epmd: %s", out)
	}
}

// A node keeps its name when its file is removed, or the whole directory.
func TestEpmdlessFileComesBack(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	h.beamrun("--epmdless", erl("-sname", "a@localhost")...)
	folder, line := h.folder(), h.read("a")
	begin := time.Now()
	if err := os.RemoveAll(filepath.Join(h.home, ".cache")); err != nil {
		t.Fatal(err)
	}
	for ; time.Since(begin) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		if found, _ := filepath.Glob(filepath.Join(folder, "a.*")); len(found) == 1 && h.read("a") != "" { // it is made, then written
			break
		}
	}
	t.Logf("its file is there again after %v", time.Since(begin).Round(10*time.Millisecond))
	if again := h.read("a"); again != line {
		t.Errorf("%q, before %q", again, line)
	}
	if out := h.ask("--epmdless", `io:format("~p", [net_adm:ping('a@localhost')])`, "-sname", "v@localhost"); out != "pong" {
		t.Error(out)
	}
	for dir := folder; dir != h.home; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}

// Another user sees no registration and makes none; what others could write to is not used.
func TestEpmdlessOtherUser(t *testing.T) {
	t.Parallel()
	h := newEpmdlessHost(t)
	if os.Getuid() != 0 {
		testenv.Skip(t, "root is needed to become another user")
	}
	for dir := h.home; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755) // others may come this far
	}
	h.beamrun("--epmdless", erl("-sname", "a@localhost")...)
	folder := h.folder()
	for _, try := range []string{"ls " + folder, "cat " + folder + "/*", "touch " + folder + "/b.1", "rm -f " + folder + "/a.*", "mkdir " + filepath.Dir(folder) + "/nodes-x", "mv " + filepath.Dir(folder) + " /tmp/moved"} {
		cmd := h.command("sh", "-c", try)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		if out, err := cmd.CombinedOutput(); err == nil && !strings.HasPrefix(try, "rm") { // rm -f of a pattern that is not seen
			t.Errorf("%s: %s", try, out)
		}
	}
	h.read("a")

	planted := newEpmdlessHost(t) // its folder was made by another user, with a file for its own port
	base := filepath.Join(planted.home, ".cache/beamrun")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs := filepath.Join(base, filepath.Base(folder))
	err = errors.Join(os.MkdirAll(theirs, 0o777), os.WriteFile(filepath.Join(theirs, "victim.1"), fmt.Appendf(nil, "victim %d 0.0.0.0 1 - - -\n", l.Addr().(*net.TCPAddr).Port), 0o666),
		os.Chown(base, 65534, 65534), os.Chown(theirs, 65534, 65534))
	if err != nil {
		t.Fatal(err)
	}
	cmd := planted.command("beamrun", append([]string{"--epmdless"}, erl("-sname", "x@localhost", "-eval", "halt().")...)...)
	cmd.Env = append(cmd.Env, "TMPDIR=/etc/passwd")
	if r := planted.result(cmd); r.code != 1 || !strings.Contains(r.stderr, "is not a directory of this user alone") || !strings.Contains(r.stderr, "hint: ") {
		t.Errorf("another user's folder: %+v", r)
	}
	// and the module by itself, as when the directory is exchanged while the node runs
	module, err := epmdless.Install()
	if err != nil {
		t.Fatal(err)
	}
	out := planted.run("erl", "-noinput", "-pa", module, vmargs.NodesFlag, theirs, "0", "-eval",
		`io:format("~p ~p", [erl_epmd:names("localhost"), erl_epmd:port_please("victim", "localhost")]), halt().`)
	if out != "{error,address} noport" {
		t.Errorf("the module, in another user's folder: %s", out)
	}
}

// --dist-port with epmd: one port, or the first of a range that is free.
func TestDistPort(t *testing.T) {
	t.Parallel()
	h := newRepairHost(t)
	first := testenv.Port(t)
	ports := fmt.Sprintf("%d-%d", first, first+1)
	h.boot(append([]string{"beamrun", "--dist-port", ports}, erl("-sname", "a")...)...)
	names := func() map[string]string {
		got := map[string]string{}
		for line := range strings.Lines(h.run("beamrun", "names")) {
			f := strings.Fields(line)
			got[f[0]] = f[1]
		}
		return got
	}
	if got := names(); got["a"] != strconv.Itoa(int(first)) {
		t.Errorf("%v, want %d", got, first)
	}
	// a shell takes none of them
	if opened, screen := h.opensShell("a", "--dist-port", strconv.Itoa(int(first)), "erl", "-sname", "shell", "-remsh", "a@"+shortHostname()); !opened {
		t.Errorf("erl -remsh: %s", screen)
	}
	r := h.result(h.command("beamrun", append([]string{"--dist-port", strconv.Itoa(int(first))}, erl("-sname", "b", "-eval", "halt().")...)...))
	if r.code == 0 || !strings.Contains(r.stdout+r.stderr, "eaddrinuse") {
		t.Errorf("a port that is taken: %+v", r)
	}
	// without epmd, in a range
	range2 := testenv.Port(t)
	e := epmdlessHost{h}
	e.beamrun(fmt.Sprintf("--epmdless --dist-port %d-%d", range2, range2+1), erl("-sname", "c@localhost")...)
	if line := strings.Fields(e.read("c")); line[1] != strconv.Itoa(int(range2)) {
		t.Errorf("%q, want port %d", line, range2)
	}
}
