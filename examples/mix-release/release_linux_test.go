// Package mixrelease tests the example: a release of Elixir that runs from a state without epmd.
package mixrelease

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

// build makes the release in a copy of the project, with other text in some of its files. It
// returns its directory.
func build(h *exampletest.Host, files map[string]string) string {
	h.T.Helper()
	testenv.Need(h.T, "elixir", "mix")
	dir := exampletest.Copy(h.T, ".")
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			h.T.Fatal(err)
		}
	}
	h.Run(dir, "env", "MIX_ENV=prod", "mix", "release", "--quiet")
	root, err := filepath.EvalSymlinks(filepath.Join(dir, "_build/prod/rel/my_app"))
	if err != nil {
		h.T.Fatal(err)
	}
	h.Hide(exampletest.Erlang...)
	return root
}

var noHook = map[string]string{"rel/env.sh.eex": ""}

// All commands, in both ways to have epmd and both to have none, on a host that has no epmd but the
// release's.
func TestCommands(t *testing.T) {
	onePort := []string{"beamrun", "--epmdless", "--dist-port", strconv.Itoa(int(testenv.Port(t)))}
	for name, way := range map[string]struct {
		files  map[string]string
		before []string // each command
		noEpmd bool
	}{
		"hook":     {nil, nil, false},
		"beamrun":  {noHook, []string{"beamrun"}, false},
		"epmdless": {noHook, []string{"beamrun", "--epmdless"}, true},
		"one port": {noHook, onePort, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := exampletest.New(t)
			exampletest.Release{
				Host: h, Root: build(h, way.files), Before: way.before, NoEpmd: way.noEpmd,
				// on one port a node takes itself for a visitor that has gone, and says so: "Cannot
				// get connection id"
				Quiet:  name != "one port",
				Start:  "start",
				RPC:    []string{"rpc", "IO.puts MyApp.next()"},
				Others: [][2]string{{"eval IO.puts 6 * 7", "42"}},
				Remote: "remote", Prompt: `iex\(my_app@[^)]+\)1> `,
				Type: "{:next, MyApp.next()}", Shows: `\{:next, 43\}`,
			}.Commands()
		})
	}
}

// A cookie that the release has of its own is the node's, whatever beamrun was told.
func TestCookies(t *testing.T) {
	for _, tt := range []struct {
		name, env, vmArgs string
		file              func(root, home string) string
	}{
		{"RELEASE_COOKIE", "of_the_environment", "", nil},
		{"releases/COOKIE", "", "",
			func(root, _ string) string { return root + "/releases/COOKIE" }},
		// the script passes releases/COOKIE too, and of two -setcookie Erlang takes neither, but
		// the user's file
		{"vm.args", "", "-setcookie of_vm_args\n",
			func(_, home string) string { return home + "/.erlang.cookie" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := exampletest.New(t)
			root := build(h, map[string]string{"rel/env.sh.eex": "", "rel/vm.args.eex": tt.vmArgs})
			node := h.Command(root, "env", "RELEASE_COOKIE="+tt.env,
				"beamrun", "--cookie", "fresh", "bin/my_app", "start")
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
			h.Registered("my_app")
			want := tt.env
			if tt.file != nil {
				text, err := os.ReadFile(tt.file(root, h.Home))
				if want = string(text); err != nil || len(want) < 20 {
					t.Fatal(err, want)
				}
			}
			h.Eventually(want, root, "env", "RELEASE_COOKIE="+want,
				"bin/my_app", "rpc", "IO.puts Node.get_cookie()")
			node.Process.Kill()
			node.Wait()
		})
	}
}

// The hook is not silent about what it lacks.
func TestHookWithoutEpmd(t *testing.T) {
	t.Parallel()
	h := exampletest.New(t)
	root := build(h, nil)
	program := exampletest.Release{Host: h, Root: root}.OwnEpmd()
	server := epmdtest.Listen(t, "127.0.0.1:0", epmdtest.Garbage)
	taken := "ERL_EPMD_PORT=" + strconv.Itoa(int(server.Port()))
	out, err := h.Try(root, "env", taken, "bin/my_app", "start")
	if exampletest.ExitCode(err) != 69 || !strings.HasPrefix(out, "beamrun: epmd on 127.0.0.1:") ||
		!strings.Contains(out, "foreign") {
		t.Errorf("where another program has the port: %v, %s", err, out)
	}

	if err := os.Remove(filepath.Join(h.Path, "beamrun")); err != nil {
		t.Fatal(err)
	}
	out, err = h.Try(root, "bin/my_app", "daemon")
	want := "my_app: beamrun is not on PATH; Erlang starts an epmd by itself"
	if err != nil || out != want {
		t.Errorf("without beamrun: %v, %s", err, out)
	}
	h.Eventually("42", root, "bin/my_app", "rpc", "IO.puts MyApp.next()")
	exe, _ := os.Readlink("/proc/" + strconv.Itoa(testenv.PID(h.Port)) + "/exe")
	if exe != program {
		t.Errorf("the epmd is %q, want %q", exe, program)
	}
	h.Run(root, "bin/my_app", "stop")
}
