package launcher

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmdless"
)

// install makes an Erlang of that ERTS, or of none that can be told, whose erl is the only one on
// PATH.
func install(t *testing.T, erts ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, dir := range append(erts, "bin") {
		if err := os.MkdirAll(filepath.Join(root, dir, "bin"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	program(t, filepath.Join(root, "bin/erl"), "")
	t.Setenv("PATH", filepath.Join(root, "bin"))
	return root
}

func program(t *testing.T, path, text string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// privateHome gives the test a cache directory of its own.
func privateHome(t *testing.T) {
	home := t.TempDir()
	for _, key := range []string{"HOME", "LocalAppData", "XDG_CACHE_HOME"} {
		t.Setenv(key, home)
	}
}

func flagsOf(t *testing.T, c Config) string { return value(environ(t, c), "ERL_AFLAGS") }

func TestStaticPort(t *testing.T) {
	for erts, want := range map[string]string{
		"erts-11.1.8": "-erl_epmd_port 9100", "erts-15.1.3": "-erl_epmd_port 9100", "none": "-erl_epmd_port 9100",
		"erts-15.2": "-kernel erl_epmd_node_listen_port 9100", "erts-17.1.1": "-kernel erl_epmd_node_listen_port 9100",
	} {
		install(t, erts)
		c := Config{Program: "erl", Args: []string{"-sname", "a"}, Env: []string{"A=1"}, Epmdless: true, DistPort: Ports{First: 9100}}
		if got := flagsOf(t, c); got != "-start_epmd false "+want {
			t.Errorf("%s: %q", erts, got)
		}
		c.Args = []string{"-remsh", "a@b"}
		if got := flagsOf(t, c); got != "-start_epmd false "+want+" -dist_listen false" {
			t.Errorf("%s, a shell: %q", erts, got)
		}
	}
	install(t, "erts-14.0", "erts-16.0")
	c := Config{Program: "iex", Epmdless: true, DistPort: Ports{9100, 9100}, Env: []string{}}
	if got := flagsOf(t, c); got != "-start_epmd false -erl_epmd_port 9100" {
		t.Errorf("of two one can't know: %q", got)
	}
}

// The release's own Erlang counts, and its commands that visit the node.
func TestReleases(t *testing.T) {
	install(t, "erts-11.0")
	root := t.TempDir()
	for _, dir := range []string{"bin", "releases", "erts-16.0/bin"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	app, relx := filepath.Join(root, "bin/my_app"), filepath.Join(root, "bin/relx_app")
	program(t, app, "")
	program(t, relx, `if [ "$ERL_DIST_PORT" ]; then`)
	if runtime.GOOS == "windows" {
		app, relx = app+".exe", relx+".exe"
	}
	static := Config{Program: app, Args: []string{"start"}, Env: []string{}, Epmdless: true, DistPort: Ports{9100, 9100}}
	const flags = "-start_epmd false -kernel erl_epmd_node_listen_port 9100"
	if got := flagsOf(t, static); got != flags {
		t.Errorf("start: %q", got)
	}
	static.Args = []string{"rpc", "1 + 1"}
	if got := flagsOf(t, static); got != flags+" -dist_listen false" {
		t.Errorf("rpc: %q", got)
	}
	if got := flagsOf(t, Config{Program: app, Args: []string{"remote"}, Env: []string{}, DistPort: Ports{1, 2}}); got != "" {
		t.Errorf("remote, with epmd: %q", got)
	}
	static.Program = relx
	if env := strings.Join(environ(t, static), " "); env != "ERL_AFLAGS=-start_epmd false ERL_DIST_PORT=9100" {
		t.Errorf("relx: %q", env)
	}
	if ReleaseRoot(app) == "" || ReleaseRoot("sh") != "" || ReleaseRoot(filepath.Join(root, "bin/none")) != "" {
		t.Error("which is a release")
	}
}

func TestEpmdless(t *testing.T) {
	privateHome(t)
	install(t, "erts-13.0")
	module, err := epmdless.Install()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := epmdless.Dir()
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Program: "erl", Env: []string{"ERL_AFLAGS=-hidden", "RELEASE_MODE=embedded"}, Epmdless: true, DistPort: Ports{9100, 9110},
		Peers: []string{"a@x=1", "b@y=2"}, PeersFile: "my peers"}
	cwd, _ := os.Getwd()
	want := []string{"-pa", module, "-beamrun_nodes", folder}
	env := environ(t, c)
	if got := value(env, "ERL_AFLAGS"); got != "-hidden -start_epmd false -kernel inet_dist_listen_min 9100 inet_dist_listen_max 9110" {
		t.Errorf("%q", got)
	}
	got := value(env, "ERL_ZFLAGS") // last, so that a child's own -epmd_module wins
	if words := escape(strings.Join(want, " ")); !strings.HasPrefix(got, strings.ReplaceAll(words, `\ `, " ")+" ") {
		t.Errorf("%q, want %q", got, want)
	}
	if !strings.HasSuffix(got, " -beamrun_peer a@x=1 -beamrun_peer b@y=2 -beamrun_peers "+escape(filepath.Join(cwd, "my peers"))) {
		t.Errorf("%q", got)
	}
	if value(env, "RELEASE_MODE") != "embedded" || len(env) != 3 {
		t.Errorf("the mode of a release: %q", env)
	}
	c.Env = []string{"ERL_ZFLAGS=+S 1 -extra x"}
	got = value(environ(t, c), "ERL_ZFLAGS")
	if !strings.Contains(got, " -beamrun_nodes ") || !strings.HasSuffix(got, " +S 1 -extra x") {
		t.Errorf("%q", got)
	}
}

// The start script of relx's releases asks its node by erl_call, which asks epmd, but for a variable.
// How a release loads its code is left to it.
func TestNodetool(t *testing.T) {
	privateHome(t)
	root := install(t, "erts-13.0")
	const relx = "CODE_LOADING_MODE=\"${CODE_LOADING_MODE:-embedded}\"\nif [ \"$USE_NODETOOL\" ]; then"
	for text, want := range map[string]string{
		relx: " USE_NODETOOL=1", `RELEASE_MODE="${RELEASE_MODE:-embedded}"`: "", "set USE_NODETOOL=%USE_NODETOOL%": " USE_NODETOOL=1",
		"mix test": "", "USE_NODETOOL=x bin/my_app": "", "echo $USE_NODETOOLS": "", strings.Repeat("#", maxScript) + relx: "",
	} {
		program(t, filepath.Join(root, "bin/app"), text)
		env := environ(t, Config{Program: "app", Env: []string{}, Epmdless: true})
		if got := strings.Join(env[:len(env)-1], " "); got != "ERL_AFLAGS=-start_epmd false"+want {
			t.Errorf("%.100q: %q, want %q", text, env, want)
		}
		env = environ(t, Config{Program: "app", Env: []string{"USE_NODETOOL=c"}, Epmdless: true})
		if len(env) != 3 || env[0] != "USE_NODETOOL=c" {
			t.Errorf("%.100q: %q", text, env)
		}
	}
}

// Any script that reads the variable for the port gets it, and no flag beside it: of two, OTP takes
// neither.
func TestDistPortVariable(t *testing.T) {
	root := install(t, "erts-13.0")
	const flags, ours = "-start_epmd false -erl_epmd_port 9100", "ERL_AFLAGS=-start_epmd false ERL_DIST_PORT=9100"
	for _, tt := range []struct{ text, before, want, warns string }{
		{`[ -n "$ERL_DIST_PORT" ] && O="-erl_epmd_port $ERL_DIST_PORT"`, "A=1", "A=1 " + ours, ""},
		{`erl -erl_epmd_port ${ERL_DIST_PORT:-1}`, "A=1", "A=1 " + ours, ""},
		{`erl -erl_epmd_port $ERL_DIST_PORT`, "ERL_DIST_PORT=9100", ours, ""},
		{`erl -erl_epmd_port $ERL_DIST_PORT`, "ERL_DIST_PORT=9200", ours, "9200"},
		{`erl -erl_epmd_port $ERL_DIST_PORT`, "ERL_AFLAGS=-erl_epmd_port 9100", "ERL_AFLAGS=-erl_epmd_port 9100", ""},
		{"erl", "ERL_DIST_PORT=9200", "ERL_AFLAGS=" + flags, "9200"}, // a script that this one starts may read it
		{"erl", "ERL_DIST_PORT=9100", "ERL_AFLAGS=" + flags, ""},
		{"$ERL_DIST_PORT_WARNING", "A=1", "A=1 ERL_AFLAGS=" + flags, ""},
	} {
		program(t, filepath.Join(root, "bin/ctl"), tt.text)
		var said []string
		c := Config{Program: "ctl", Env: []string{tt.before}, Epmdless: true, DistPort: Ports{First: 9100}, Warn: func(w string) { said = append(said, w) }}
		got := strings.Join(environ(t, c), " ")
		if got != tt.want || len(said) != min(1, len(tt.warns)) || !strings.Contains(strings.Join(said, " "), tt.warns) || c.Env[0] != tt.before {
			t.Errorf("%s, %s: %q; %q", tt.text, tt.before, got, said)
		}
	}
	// a given port stays, and is not given again
	var said []string
	c := Config{Program: "ctl", Env: []string{"ERL_DIST_PORT=9100", "ERL_AFLAGS=-erl_epmd_port 9100"}, Epmdless: true, DistPort: Ports{First: 9100},
		Warn: func(w string) { said = append(said, w) }}
	if got := environ(t, c); len(got) != 1 || got[0] != "ERL_AFLAGS=-erl_epmd_port 9100" || len(said) != 1 {
		t.Errorf("%q; %q", got, said)
	}
}

// What is given already stays, for OTP takes neither of two.
func TestEpmdlessGiven(t *testing.T) {
	for _, c := range []Config{
		{Args: []string{"-epmd_module", "mine"}}, {Args: []string{"--erl", "-erl_epmd_port 1"}},
		{Env: []string{"ERL_ZFLAGS=-kernel erl_epmd_node_listen_port 1"}},
		{Env: []string{"ERL_ZFLAGS=-pa /x -beamrun_nodes /y 0"}}, {Env: []string{"ERL_FLAGS=-kernel epmd_module mine"}},
	} {
		var said []string
		c.Epmdless, c.DistPort, c.Warn = true, Ports{9100, 9100}, func(w string) { said = append(said, w) }
		if c.Env == nil {
			c.Env = []string{}
		}
		before := strings.Join(c.Env, " ")
		if got := strings.Join(environ(t, c), " "); got != before || len(said) != 1 {
			t.Errorf("%q became %q; %q", before, got, said)
		}
	}
	for _, c := range []Config{
		{Env: []string{"ERL_AFLAGS=-start_epmd false -erl_epmd_port 9100"}, DistPort: Ports{First: 9100}},
		{Env: []string{"ERL_ZFLAGS=-pa /x -beamrun_nodes /y 0"}},
	} {
		c.Epmdless, c.Warn = true, func(w string) { t.Error(w) }
		if got := environ(t, c); len(got) != 1 || got[0] != c.Env[0] {
			t.Errorf("below another: %q", got)
		}
	}
	c := Config{Args: []string{"-kernel", "inet_dist_listen_min", "1"}, Env: []string{}, DistPort: Ports{9100, 9100}}
	if got := flagsOf(t, c); got != "" {
		t.Errorf("a port that is given: %q", got)
	}
}

func TestParsePorts(t *testing.T) {
	for s, want := range map[string]Ports{"1": {1, 1}, "65535": {65535, 65535}, "9100-9110": {9100, 9110}, "5-5": {5, 5}} {
		if got, err := ParsePorts(s); got != want || err != nil {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "65536", "-1", "1-", "-", "2-1", "1-65536", "1-2-3", "a", "1 - 2", "+1"} {
		if got, err := ParsePorts(s); err == nil {
			t.Errorf("%q: %v", s, got)
		}
	}
	if (Ports{}).IsOne() || !(Ports{First: 1}).IsOne() || (Ports{1, 2}).IsOne() {
		t.Error("which is one port")
	}
}

func TestCheckPeer(t *testing.T) {
	for s, ok := range map[string]bool{"a@b=1": true, "a@b.c.d=65535": true, "a@10.0.0.1=9100": true, "a@fe80::1=9100": true,
		"": false, "a@b": false, "a=1": false, "@b=1": false, "a@=1": false, "a@b=0": false, "a@b=65536": false, "a@b=x": false, "a@b=1=2": false,
		"a b@c=1": false, "a@b=1#": false, "-a@b=1": false} {
		if err := CheckPeer(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
	file := filepath.Join(t.TempDir(), "peers")
	for text, says := range map[string]string{"": "", "# x\n\n a@b=1 # y\r\nc@d = 2\n": "", "a@b=1\nc@d\n": "line 2", "x\ny": "line 2"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckPeersFile(file); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
	// it may be a cookie file, given by mistake
	const secret = "QWERTYUIOPASDFGHJKLZ"
	for _, text := range []string{secret, "a@b=1\n" + secret + "\n", "a@b=" + secret, strings.Repeat(secret+"\n", 5000)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := CheckPeersFile(file); err == nil || strings.Contains(err.Error(), secret) || len(err.Error()) > 20*(len(file)+50) {
			t.Errorf("%.100q: %.5000v", text, err)
		}
	}
	if err := CheckPeer(secret); err == nil || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
	if err := os.WriteFile(file, make([]byte, maxPeers+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + "x", t.TempDir()} { // too long, none, a folder
		if err := CheckPeersFile(path); err == nil {
			t.Error(path)
		}
	}
}
