package orphan

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/testenv"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// A parameter that is given several times: a real VM takes the one that its arguments show.
func TestKernelParameterOfRealVMs(t *testing.T) {
	h := newHost(t)
	for _, args := range []string{"-kernel a 1", "-kernel b 1 a 2 c 3", "-kernel a 1 a 2", "-kernel a 1 -kernel a 2", "-kernel b 1 -kernel a 2", "-kernel a 1 a 2 -kernel a 3 b 4",
		"-kernel a 1 -hidden -kernel b 2", "-kernel b 1 -extra -kernel a 2"} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			h := &host{t, h.home, h.port}
			v := h.erl(nil, strings.Fields(args)...)
			want := v.eval("case application:get_env(kernel,a) of {ok,V}->V;undefined->'' end")
			if got := vmargs.Kernel(v.Args, "a"); got != strings.Trim(want, "'") {
				t.Errorf("%q, the VM has %s", got, want)
			}
		})
	}
}

// Whatever way a real VM is told its name and cookie: what its process shows is what it has.
func TestArgumentsOfRealVMs(t *testing.T) {
	testenv.Need(t, "elixir")
	h := newHost(t)
	other, config := t.TempDir(), t.TempDir()
	(&host{t, other, 0}).file(".erlang.cookie", "ofanother", 0o400)
	if err := os.Mkdir(filepath.Join(config, "erlang"), 0o700); err != nil {
		t.Fatal(err)
	}
	(&host{t, config, 0}).file("erlang/.erlang.cookie", "inconfig", 0o400)
	file := h.file("vm.args", "-sname in_file\n-setcookie infile\n", 0o600)
	inElixir := `IO.puts("answer ok"); :timer.sleep(100_000)`
	for what, c := range map[string]struct {
		env, args []string
		elixir    bool
		name      string // before the @; n without
		cookie    string // "" where versions differ, or nobody can know
	}{
		"its file":              {args: []string{"-sname", "n"}, cookie: "ofthefile"},
		"long name":             {args: []string{"-name", "n@127.0.0.1"}, cookie: "ofthefile"},
		"-setcookie":            {args: []string{"-sname", "n", "-setcookie", "mine"}, cookie: "mine"},
		"-setcookie, twice":     {args: []string{"-sname", "n", "-setcookie", "a", "-setcookie", "b"}, cookie: "ofthefile"},
		"-setcookie, of a node": {args: []string{"-sname", "n", "-setcookie", "b@h", "b"}, cookie: "ofthefile"},
		"-setcookie, of none":   {args: []string{"-sname", "n", "-setcookie", "a", "-setcookie"}, cookie: "ofthefile"},
		"-extra":                {args: []string{"-sname", "n", "-extra", "-setcookie", "no", "-sname", "no"}, cookie: "ofthefile"},
		"ERL_FLAGS":             {env: []string{"ERL_FLAGS=-sname n -setcookie inflags"}, cookie: "inflags"},
		"ERL_AFLAGS":            {env: []string{"ERL_AFLAGS=-sname n -setcookie 'in aflags'"}, cookie: "in aflags"},
		"ERL_ZFLAGS":            {env: []string{"ERL_ZFLAGS=-setcookie inzflags"}, args: []string{"-sname", "n"}, cookie: "inzflags"},
		"-args_file":            {args: []string{"-args_file", file}, name: "in_file", cookie: "infile"},
		"-env HOME":             {env: []string{"HOME=" + other}, args: []string{"-sname", "n", "-env", "HOME", h.home}, cookie: "ofanother"},
		"no file at home":       {env: []string{"HOME=" + t.TempDir()}, args: []string{"-sname", "n"}},
		"XDG_CONFIG_HOME": {env: []string{"HOME=" + t.TempDir(), "XDG_CONFIG_HOME=" + config},
			args: []string{"-sname", "n"}},
		"elixir":       {elixir: true, args: []string{"--sname", "n", "--cookie", "ofelixir"}, cookie: "ofelixir"},
		"elixir --erl": {elixir: true, args: []string{"--sname", "n", "--erl", "-setcookie inerl"}, cookie: "inerl"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := &host{t, h.home, h.port}
			if c.name == "" {
				c.name = "n"
			}
			var v *vm
			if c.elixir {
				v = h.start(nil, "elixir", append(c.args, "--erl", strings.Join(withoutEpmd, " "), "-e", inElixir)...)
			} else {
				v = h.erl(c.env, append(withoutEpmd[:len(withoutEpmd):len(withoutEpmd)], c.args...)...) // before an -extra
			}
			got, err := Node{UID: v.UID, vm: v.Program, birth: v.Birth()}.cookie(t.Context())
			if name := vmargs.NodeName(v.Args); short(name) != c.name || err != nil || got != cmp.Or(c.cookie, got) {
				t.Errorf("%q: %q, %q, %v", v.Args, name, got, err)
			}
			if epmd := vmargs.EpmdPort(v.Args); epmd != h.port {
				t.Errorf("its epmd is on %d", epmd)
			}
			if c.elixir {
				return
			}
			if its := strings.Trim(v.eval("erlang:get_cookie()"), "'"); its != got {
				t.Errorf("%q: it has %q, and not %q", v.Args, its, got)
			}
		})
	}
}
