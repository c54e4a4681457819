// Package relx tests the example: a release of rebar3 and relx that runs from a state without epmd.
package relx

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/examples/internal/exampletest"
	"github.com/beamrun/beamrun/internal/testenv"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

// build makes the release in a copy of the project that edit may change. It returns its directory.
func build(h *exampletest.Host, edit func(name, text string) string) string {
	h.T.Helper()
	testenv.Need(h.T, "rebar3")
	dir := exampletest.Copy(h.T, ".")
	for _, name := range []string{"rebar.config", "config/vm.args"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, []byte(edit(name, string(text))), 0o644)
		}
		if err != nil {
			h.T.Fatal(err)
		}
	}
	h.Run(dir, "rebar3", "release")
	root, err := filepath.EvalSymlinks(filepath.Join(dir, "_build/default/rel/my_app"))
	if err != nil {
		h.T.Fatal(err)
	}
	h.Hide(exampletest.Erlang...)
	// else below /tmp/erl_pipes, for all hosts
	h.Env = append(h.Env, "PIPE_DIR="+filepath.Join(dir, "pipes")+"/")
	return root
}

func asIs(_, text string) string { return text }

// noHook leaves the release to `beamrun bin/my_app`.
func noHook(name, text string) string {
	if name == "config/vm.args" {
		return "-sname my_app\n"
	}
	return strings.Replace(text, "{pre_start, [{custom, \"hooks/pre_start\"}]}", "", 1)
}

// noHookNorEpmd keeps relx's own tool from starting an epmd.
func noHookNorEpmd(name, text string) string {
	if text = noHook(name, text); name == "config/vm.args" {
		text += "-start_epmd false\n"
	}
	return text
}

// All commands, in both ways to have epmd and both to have none, on a host that has no epmd but the
// release's.
func TestCommands(t *testing.T) {
	onePort := []string{"beamrun", "--epmdless", "--dist-port", strconv.Itoa(int(testenv.Port(t)))}
	for name, way := range map[string]struct {
		edit   func(name, text string) string
		before []string // each command
		noEpmd bool
	}{
		"hook":     {asIs, nil, false},
		"beamrun":  {noHook, []string{"beamrun"}, false},
		"epmdless": {noHookNorEpmd, []string{"beamrun", "--epmdless"}, true},
		"one port": {noHook, onePort, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := exampletest.New(t)
			root := build(h, way.edit)
			if name == "hook" {
				h.Run(root, "beamrun", "cookie", "rotate") // the launch makes it by itself
			}
			exampletest.Release{
				Host: h, Root: root, Before: way.before, NoEpmd: way.noEpmd,
				Start:  "foreground",
				RPC:    []string{"rpc", "my_app_counter", "next"},
				Others: [][2]string{{"ping", "pong"}, {"eval my_app_counter:next().", "43"}},
				Remote: "remote_console", Prompt: `\(my_app@[^)]+\)1> `,
				Type: "{next, my_app_counter:next()}.", Shows: `\{next,44\}`,
			}.Commands()
		})
	}
}

// The cookie of vm.args is the node's, whatever beamrun was told.
func TestCookieOfVMArgs(t *testing.T) {
	t.Parallel()
	h := exampletest.New(t)
	root := build(h, func(name, text string) string {
		if text = noHook(name, text); name == "config/vm.args" {
			text += "-setcookie of_vm_args\n"
		}
		return text
	})
	node := h.Command(root, "beamrun", "--cookie", "fresh", "bin/my_app", "foreground")
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	h.Registered("my_app")
	h.Eventually("of_vm_args", root, "bin/my_app", "rpc", "erlang", "get_cookie")
	node.Process.Kill()
	node.Wait()
}

// The hook stops a start that would come to nothing, and says why.
func TestHookWithoutEpmd(t *testing.T) {
	t.Parallel()
	h := exampletest.New(t)
	root := build(h, asIs)
	server := epmdtest.Listen(t, "127.0.0.1:0", epmdtest.Garbage)
	taken := "ERL_EPMD_PORT=" + strconv.Itoa(int(server.Port()))
	out, err := h.Try(root, "env", taken, "bin/my_app", "foreground")
	if exampletest.ExitCode(err) != 69 || !strings.Contains(out, "\nbeamrun: epmd on 127.0.0.1:") ||
		!strings.Contains(out, "foreign") {
		t.Errorf("where another program has the port: %v, %s", err, out)
	}
	if err := os.Remove(filepath.Join(h.Path, "beamrun")); err != nil {
		t.Fatal(err)
	}
	out, err = h.Try(root, "bin/my_app", "daemon")
	want := "my_app: beamrun is not on PATH, and without it there may be no epmd"
	if exampletest.ExitCode(err) != 127 || !strings.HasSuffix(out, want) {
		t.Errorf("without beamrun: %v, %s", err, out)
	}
}
