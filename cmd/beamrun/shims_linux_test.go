package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/testenv"
)

// manager runs the program of the version that the nearest .tool-versions sets, as asdf (`asdf exec
// NAME`) and mise (by the name of its link) do. Where there is none, it has their words and exit
// codes.
const manager = `#!/usr/bin/env bash
case ${0##*/} in
asdf) name=$2 data=${ASDF_DATA_DIR:-$HOME/.asdf} code=126
	error="No version is set for command $2"; shift 2 ;;
*) name=${0##*/} data=${MISE_DATA_DIR:-$HOME/.local/share/mise} code=1
	error="mise ERROR No version is set for shim: ${0##*/}" ;;
esac
dir=$PWD
while [ ! -e "$dir/.tool-versions" ]; do
	[ "$dir" != / ] || { echo "$error" >&2; exit $code; }
	dir=$(dirname "$dir")
done
exec "$data/installs/erlang/$(sed 's/^erlang //' "$dir/.tool-versions")/bin/$name" "$@"
`

// Erlang behind the shims of asdf and mise. An asdf on PATH is used itself.
func TestVersionManagers(t *testing.T) {
	for name, code := range map[string]int{"asdf": 126, "mise": 1} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			root := h.run("erl", "-noinput", "-eval",
				`io:format("~s", [code:root_dir()]), halt().`)
			data, bin, project := t.TempDir(), t.TempDir(), t.TempDir()
			at := func(path string) string { return filepath.Join(data, path) }
			must := func(errs ...error) {
				t.Helper()
				if err := errors.Join(errs...); err != nil {
					t.Fatal(err)
				}
			}
			must(os.MkdirAll(at("shims"), 0o755), os.MkdirAll(at("plugins/erlang/bin"), 0o755),
				os.MkdirAll(at("installs/erlang"), 0o755),
				os.Symlink(root, at("installs/erlang/99.1")),
				os.Mkdir(filepath.Join(project, "sub"), 0o755),
				os.WriteFile(filepath.Join(project, ".tool-versions"),
					[]byte("erlang 99.1\n"), 0o644))
			t.Setenv("ASDF_DATA_DIR", data)
			t.Setenv("MISE_DATA_DIR", data)
			if asdf, err := exec.LookPath(name); err == nil && name == "asdf" {
				t.Logf("with %s itself", asdf)
				h.run("asdf", "reshim", "erlang", "99.1")
			} else {
				must(os.WriteFile(filepath.Join(bin, name), []byte(manager), 0o755))
				for _, program := range []string{"erl", "epmd"} {
					if name == "mise" {
						must(os.Symlink(filepath.Join(bin, name), at("shims/"+program)))
						continue
					}
					shim := "#!/usr/bin/env bash\n# asdf-plugin: erlang 99.1\n" +
						"exec asdf exec \"" + program + "\" \"$@\""
					must(os.WriteFile(at("shims/"+program), []byte(shim), 0o755))
				}
			}
			t.Setenv("PATH", at("shims")+":"+bin+":"+os.Getenv("PATH"))
			try := func(dir string, command ...string) (int, string) {
				var out bytes.Buffer
				cmd := h.command(command[0], command[1:]...)
				cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
				if err := cmd.Run(); cmd.ProcessState == nil {
					t.Fatal(err)
				}
				return cmd.ProcessState.ExitCode(), out.String()
			}
			elsewhere := t.TempDir()
			const noVersion = "No version is set for"

			// the trap: where the daemon starts, the shim finds no version
			got, out := try("/", "epmd", "-names")
			if got != code || !strings.Contains(out, noVersion) {
				t.Fatalf("the shim itself: exit code %d, %s", got, out)
			}
			started := regexp.MustCompile(`: started ` +
				regexp.QuoteMeta(at("installs/erlang/99.1")) + `/erts-[^/]+/bin/epmd, pid `)
			for _, dir := range []string{project, filepath.Join(project, "sub")} {
				got, out := try(dir, "beamrun", "-v", "erl", "-noinput", "-sname", "x",
					"-eval", `io:format("up ~s", [node()]), halt(7).`)
				if got != 7 || !started.MatchString(out) || !strings.Contains(out, "up x@") {
					t.Errorf("exit code %d, %s", got, out)
				}
				testenv.Kill(t, h.port)
			}

			// where no version is set, any epmd will do, and the program's own words are its shim's
			got, out = try(elsewhere, "beamrun", "ensure")
			if got != 0 || !started.MatchString(out) {
				t.Errorf("exit code %d, %s", got, out)
			}
			got, out = try(elsewhere, "beamrun", "erl", "-noinput", "-s", "erlang", "halt")
			if got != code || !strings.Contains(out, noVersion) ||
				strings.Contains(out, "beamrun:") {
				t.Errorf("exit code %d, %s", got, out)
			}
		})
	}
}
