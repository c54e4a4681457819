// Package ci tests the example: what a CI step with beamrun does for tests that need epmd.
package ci

import (
	"archive/zip"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/beamrun/beamrun/examples/internal/exampletest"
	"github.com/beamrun/beamrun/internal/testenv"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

// newHost is a CI machine without epmd and beamrun, and the project on it. `go install` takes
// beamrun from this source.
func newHost(t *testing.T) (h *exampletest.Host, project string) {
	t.Helper()
	h = exampletest.New(t)
	testenv.Need(t, "elixir", "mix", "bash")
	h.Hide("beamrun")
	cache := goEnv(t, "GOMODCACHE")
	goProxy := "file://" + proxy(t) + ",file://" + cache + "/cache/download," + goEnv(t, "GOPROXY")
	h.Env = []string{"GOMODCACHE=" + t.TempDir(), "GOCACHE=" + goEnv(t, "GOCACHE"),
		"GOFLAGS=-modcacherw -trimpath", "GOSUMDB=off", "GOPROXY=" + goProxy}
	project = exampletest.Copy(t, "project")

	out, err := h.Try(project, "mix", "test")
	if err == nil || !strings.Contains(out, "econnrefused") {
		t.Fatalf("the tests need no epmd: %v\n%s", err, out)
	}
	if pid := testenv.PID(h.Port); pid != 0 {
		t.Fatalf("there is an epmd already, %d", pid)
	}
	return h, project
}

func goEnv(t *testing.T, key string) string {
	t.Helper()
	out, err := exec.Command("go", "env", key).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// proxy makes a module proxy, see `go help goproxy`, that has this source as v0.1.0.
func proxy(t *testing.T) string {
	t.Helper()
	const module, version = "github.com/beamrun/beamrun", "v0.1.0"
	root := filepath.Dir(goEnv(t, "GOMOD"))
	goMod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var archive strings.Builder
	w := zip.NewWriter(&archive)
	for _, dir := range []string{"cmd", "cookie", "ensure", "internal", "launcher"} {
		top := filepath.Join(root, dir)
		err = filepath.WalkDir(top, func(name string, _ os.DirEntry, err error) error {
			if err != nil || filepath.Ext(name) != ".go" && filepath.Ext(name) != ".beam" {
				return err
			}
			rel, _ := filepath.Rel(root, name)
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			f, err := w.Create(path.Join(module+"@"+version, filepath.ToSlash(rel)))
			if err == nil {
				_, err = f.Write(text)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Create(path.Join(module+"@"+version, "go.mod"))
	if err == nil {
		_, err = f.Write(goMod)
	}
	if err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), module, "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list":            version + "\n",
		version + ".info": `{"Version":"` + version + `"}`,
		version + ".mod":  string(goMod),
		version + ".zip":  archive.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return strings.TrimSuffix(dir, "/"+module+"/@v")
}

func parse(t *testing.T, file string, to any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(text, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// script runs lines as the runners do.
func script(h *exampletest.Host, dir, lines string, env ...string) string {
	h.T.Helper()
	file := filepath.Join(h.T.TempDir(), "script")
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		h.T.Fatal(err)
	}
	args := append(env, "bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	return h.Run(dir, "env", args...)
}

// passed is what mix test prints, before Elixir 1.20 and since.
var passed = regexp.MustCompile(`(?m)^(1 test, 0 failures|Result: 1 passed)$`)

// The action's steps, one after the other, and then the tests.
func TestAction(t *testing.T) {
	t.Parallel()
	h, project := newHost(t)
	var action struct {
		Inputs map[string]struct{ Default string }
		Runs   struct {
			Using string
			Steps []struct {
				Shell, Run string
				Env        map[string]string
			}
		}
	}
	parse(t, "action.yml", &action)
	if action.Runs.Using != "composite" || len(action.Runs.Steps) != 2 {
		t.Fatalf("%+v", action)
	}
	temp := t.TempDir()
	contents := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(temp, name))
		return string(text)
	}
	steps := func() (out string) {
		for _, step := range action.Runs.Steps {
			if step.Shell != "bash" {
				t.Fatalf("%+v", step)
			}
			env := []string{"RUNNER_TEMP=" + temp, "GITHUB_PATH=" + temp + "/path",
				"GITHUB_ENV=" + temp + "/env"}
			for key, value := range step.Env {
				for name, input := range action.Inputs {
					set := input.Default
					if name == "port" {
						set = strconv.Itoa(int(h.Port))
					}
					value = strings.ReplaceAll(value, "${{ inputs."+name+" }}", set)
				}
				env = append(env, key+"="+value)
			}
			out += script(h, project, step.Run, env...) + "\n"
			dir := strings.TrimSpace(contents("path"))
			if dir != "" && !strings.HasPrefix(h.Path, dir) {
				h.Path = dir + ":" + h.Path
			}
		}
		return out
	}
	if out := steps(); !strings.Contains(out, ": started ") {
		t.Error(out)
	}
	h.Epmd(epmdOnPath(t))
	if got, want := contents("env"), "ERL_EPMD_PORT="+strconv.Itoa(int(h.Port))+"\n"; got != want {
		t.Errorf("later steps get %q, want %q", got, want)
	}
	if out := h.Run(project, "mix", "test"); !passed.MatchString(out) {
		t.Error(out)
	}
	h.Env = append(h.Env, "GOPROXY=off") // where beamrun is there, nothing is installed
	out := steps()
	if !strings.HasPrefix(out, temp+"/beamrun/beamrun\n") ||
		!strings.Contains(out, ": already running") {
		t.Error(out)
	}
}

// The jobs, one after the other, in the directory that the artifact goes to.
func TestGitLab(t *testing.T) {
	t.Parallel()
	h, project := newHost(t)
	var jobs struct{ Beamrun, Test struct{ Script []string } }
	parse(t, "gitlab-ci.yml", &jobs)
	script(h, project, strings.Join(jobs.Beamrun.Script, "\n"))
	out := script(h, project, strings.Join(jobs.Test.Script, "\n"))
	if !strings.Contains(out, ": started ") || !passed.MatchString(out) {
		t.Error(out)
	}
	h.Epmd(epmdOnPath(t))
}

func epmdOnPath(t *testing.T) string {
	t.Helper()
	name, err := exec.LookPath("epmd")
	if err == nil {
		name, err = filepath.EvalSymlinks(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return name
}
