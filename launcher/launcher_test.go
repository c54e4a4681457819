package launcher

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
)

// The test binary plays the program that is launched.
func TestMain(m *testing.M) {
	switch os.Getenv("LAUNCHER_TEST") {
	case "exit 7":
		os.Exit(7)
	case "exec":
		// this process becomes a shell with the same pid
		err := Exec(Config{Program: "sh", Args: []string{"-c", `echo "$$ $0 $*"; exit 3`, "a b", "-x", ""}})
		panic(err)
	}
	m.Run()
}

func self(t *testing.T, play string) Config {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Config{Program: path, Env: append(os.Environ(), "LAUNCHER_TEST="+play)}
}

// onPath puts the test binary on PATH and returns its name there.
func onPath(t *testing.T) string {
	t.Helper()
	dir, name := filepath.Split(self(t, "").Program)
	t.Setenv("PATH", dir)
	return name
}

func environ(t testing.TB, c Config) []string {
	t.Helper()
	env, err := c.environ()
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestCommand(t *testing.T) {
	t.Setenv("BEAMRUN_TEST_MARK", "1")
	program := onPath(t)
	c := Config{Program: program, Args: []string{"-a", "", "b c"}}
	cmd, err := Command(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cmd.Args, []string{program, "-a", "", "b c"}) || !filepath.IsAbs(cmd.Path) {
		t.Errorf("%s %q", cmd.Path, cmd.Args)
	}
	if !slices.Equal(cmd.Env, os.Environ()) {
		t.Error("the environment changed although nothing was asked for")
	}

	missing := fs.ErrNotExist
	if runtime.GOOS == "windows" {
		missing = exec.ErrNotFound // a name that lacks its .exe is looked for, wherever that is
	}
	for program, want := range map[string]error{"no-such-program": exec.ErrNotFound, "./no/such": missing} {
		if _, err := Command(t.Context(), Config{Program: program}); !errors.Is(err, want) {
			t.Errorf("%s: %v", program, err)
		}
	}
	if _, err := Command(t.Context(), Config{Program: t.TempDir()}); err == nil || runtime.GOOS != "windows" && (errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist)) {
		t.Errorf("a folder: %v", err)
	}
}

func TestEndpointInEnvironment(t *testing.T) {
	e, err := ensure.Config{Port: 4711, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	before := []string{"A=1", "ERL_EPMD_PORT=1", "ERL_EPMD_PORT=2", "B=2"}
	got := environ(t, Config{Env: before, Endpoint: e})
	if want := []string{"A=1", "B=2", "ERL_EPMD_PORT=4711", "ERL_EPMD_ADDRESS=127.0.0.1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if before[1] != "ERL_EPMD_PORT=1" {
		t.Error("the caller's slice was changed")
	}
}

func TestCookieInEnvironment(t *testing.T) {
	got := environ(t, Config{Env: []string{"ERL_AFLAGS=+S 1"}, Cookie: "abc"})
	if value(got, "ERL_AFLAGS") != "+S 1 "+setCookie || value(got, cookieVar) != "abc" || len(got) != 2 {
		t.Errorf("%q", got)
	}
	if strings.Contains(strings.Join(Config{Program: "erl", Cookie: "abc"}.Args, " "), "abc") {
		t.Error("the cookie is an argument")
	}
}

func TestGivesCookie(t *testing.T) {
	for _, tt := range []struct {
		args, env []string
		want      bool
	}{
		{nil, nil, false},
		{[]string{"-sname", "a"}, []string{"X=-setcookie y"}, false},
		{[]string{"-setcookie", "x"}, nil, true},
		{[]string{"--cookie", "x"}, nil, true},
		{[]string{"--erl", "+S 1 -setcookie x"}, nil, true},
		{[]string{"run", "--", "--cookie", "x"}, nil, false},
		{[]string{"-extra", "-setcookie", "x"}, nil, false},
		{nil, []string{"RELEASE_COOKIE=x"}, true},
		{nil, []string{"RELEASE_COOKIE="}, false},
		{nil, []string{"ERL_FLAGS=-setcookie x"}, true},
		{[]string{"--"}, []string{"ERL_ZFLAGS=-a -setcookie x"}, true},
		{nil, []string{"ELIXIR_ERL_OPTIONS=-setcookie x"}, true},
	} {
		if got := GivesCookie(tt.args, tt.env); got != tt.want {
			t.Errorf("%q %q: %v", tt.args, tt.env, got)
		}
		env := environ(t, Config{Args: tt.args, Env: tt.env, Cookie: "mine"})
		if added := value(env, cookieVar) != ""; added == tt.want {
			t.Errorf("%q %q: our cookie was added: %v", tt.args, tt.env, added)
		}
	}
}

func TestRun(t *testing.T) {
	if code, err := Run(t.Context(), self(t, "exit 7"), Child{}); code != 7 || err != nil {
		t.Errorf("%d, %v", code, err)
	}
	_, err := Run(t.Context(), Config{Program: "no-such-program"}, Child{})
	if !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	var out strings.Builder
	c := Config{Program: "sh", Args: []string{"-c", "cat; pwd; kill -TERM $$"}, Dir: "/"}
	child := Child{Stdin: strings.NewReader("in\n"), Stdout: &out, Stderr: &out}
	code, err := Run(t.Context(), c, child)
	if code != 128+15 || err != nil || out.String() != "in\n/\n" {
		t.Errorf("%d, %v, %q", code, err, out.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if code, err := Run(ctx, Config{Program: "sleep", Args: []string{"60"}}, Child{}); code != 128+9 || err != nil {
		t.Errorf("after the context's end: %d, %v", code, err)
	}
}

func TestExec(t *testing.T) {
	if err := execve("", nil, nil); errors.Is(err, errors.ErrUnsupported) {
		if err := Exec(Config{Program: onPath(t)}); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
		return
	}
	cmd, err := Command(t.Context(), self(t, "exec"))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout = &out
	err = cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit: %v", err)
	}
	if pid, rest, _ := strings.Cut(out.String(), " "); pid != strconv.Itoa(cmd.Process.Pid) || rest != "a b -x \n" {
		t.Errorf("pid %d became %q", cmd.Process.Pid, out.String())
	}
	if err := Exec(Config{Program: "no-such-program"}); !errors.Is(err, exec.ErrNotFound) {
		t.Error(err)
	}
}

func TestLocal(t *testing.T) {
	const v4, v6 = "-kernel inet_dist_use_interface {127,0,0,1}", "-kernel inet_dist_use_interface {0,0,0,0,0,0,0,1}"
	for _, tt := range []struct {
		args, env []string
		want      string
	}{
		{nil, nil, v4},
		{[]string{"-sname", "a"}, []string{"ERL_AFLAGS=-hidden"}, "-hidden " + v4},
		{[]string{"-proto_dist", "inet6_tcp"}, nil, v6},
		{[]string{"--erl", "-proto_dist inet6_tls"}, nil, v6},
		{nil, []string{"ELIXIR_ERL_OPTIONS=-proto_dist inet6_tcp"}, v6},
		{[]string{"-kernel", "inet_dist_use_interface", "{10,0,0,1}"}, nil, ""},
		{nil, []string{"ERL_FLAGS=-kernel inet_dist_use_interface {10,0,0,1}"}, ""},
	} {
		env := environ(t, Config{Args: tt.args, Env: append([]string{"A=B"}, tt.env...), Local: true})
		if got := value(env, "ERL_AFLAGS"); got != tt.want {
			t.Errorf("%q %q: %q, want %q", tt.args, tt.env, got, tt.want)
		}
	}
}

// The secret that cookies are derived from is not for the program: with it a node could derive the
// cookie of every label.
func TestNoSecret(t *testing.T) {
	t.Setenv("BEAMRUN_SECRET", "s3cret")
	own := []string{"BEAMRUN_SECRET=s3cret", "A=1", "BEAMRUN_SECRET=again", "BEAMRUN_SECRETS=x"}
	for _, env := range [][]string{nil, own} {
		cmd, err := Command(t.Context(), Config{Program: os.Args[0], Env: env, Cookie: "c"})
		if err != nil {
			t.Fatal(err)
		}
		if len(cmd.Env) == 0 || slices.ContainsFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "BEAMRUN_SECRET=") }) {
			t.Errorf("%q", cmd.Env)
		}
		if env != nil && !(slices.Contains(cmd.Env, "A=1") && slices.Contains(cmd.Env, "BEAMRUN_SECRETS=x")) {
			t.Errorf("%q", cmd.Env)
		}
	}
	if own[0] != "BEAMRUN_SECRET=s3cret" || own[3] != "BEAMRUN_SECRETS=x" {
		t.Errorf("the caller's own was changed: %q", own)
	}
}
