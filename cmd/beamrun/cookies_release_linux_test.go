package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/internal/testenv"
)

// What SECURITY.md tells who wants the cookie of a release in no argument list.
func TestReleaseCookies(t *testing.T) {
	for _, tt := range []struct {
		name, builder       string
		project, file, text string
		build               []string
		root                string
		env                 []string
		start, ask          []string
	}{
		{"mix", "mix", "mix-release", "rel/env.sh.eex", "export RELEASE_DISTRIBUTION=sname RELEASE_COOKIE=see_home\n" +
			`export ELIXIR_ERL_OPTIONS="$ELIXIR_ERL_OPTIONS -setcookie see_home"` + "\n",
			[]string{"env", "MIX_ENV=prod", "mix", "release", "--quiet"}, "_build/prod/rel/my_app", nil,
			[]string{"bin/my_app", "start"}, []string{"bin/my_app", "rpc", "IO.puts Node.get_cookie()"}},
		{"relx", "rebar3", "relx", "config/vm.args", "-sname my_app\n",
			[]string{"sh", "-c", `sed -i '/extended_start_script_hooks/d' rebar.config && rebar3 release`}, "_build/default/rel/my_app",
			[]string{"RELX_COOKIE=see_home"}, []string{"bin/my_app", "foreground"},
			[]string{"erl", "-noinput", "-sname", "ask", "-eval",
				`io:format("~s~n",[rpc:call(list_to_atom("my_app@` + shortHostname() + `"),erlang,get_cookie,[])]),halt().`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testenv.Need(t, tt.builder)
			h := newHost(t)
			dir := filepath.Join(t.TempDir(), "project")
			if err := os.CopyFS(dir, os.DirFS("../../examples/"+tt.project)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			build := h.command(tt.build[0], tt.build[1:]...)
			build.Dir = dir
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			stop := watchArgs()
			node := h.command("beamrun", tt.start...)
			node.Dir = filepath.Join(dir, tt.root)
			node.Env = append(node.Env, tt.env...)
			h.node("my_app", node)
			ask := h.command("beamrun", tt.ask...)
			ask.Dir = node.Dir
			out, err := ask.CombinedOutput()
			seen := stop()
			want, err2 := cookie.Load(filepath.Join(h.home, ".erlang.cookie"))
			if err != nil || err2 != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%v, %v, the node has %q", err, err2, out)
			}
			for pid, one := range seen.with(want) {
				t.Errorf("the cookie stood in an argument list: process %s, %q", pid, one.args)
			}
			if seen.of("see_home") == 0 {
				t.Error("nothing was watched")
			}
			t.Logf("%d reads of the arguments of %d processes", seen.reads(), len(seen))
		})
	}
}
