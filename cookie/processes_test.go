package cookie

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

const pathVar = "COOKIE_TEST_PATH"

const roleVar = "COOKIE_TEST_ROLE"

// roles are what the test binary does instead of testing, as another process or another user.
var roles = map[string]func(){}

// The test binary plays one of many processes that make the same file, or a role.
func TestMain(m *testing.M) {
	if role := roles[os.Getenv(roleVar)]; role != nil {
		role()
		return
	}
	if path := os.Getenv(pathVar); path != "" {
		c, err := LoadOrCreate(path)
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(c)
		return
	}
	m.Run()
}

func TestManyProcessesAgree(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		path := filepath.Join(t.TempDir(), "c")
		if i%2 == 1 && runtime.GOOS != "windows" { // where the file is that a link to nothing names
			if err := os.Symlink("linked", path); err != nil {
				t.Fatal(err)
			}
		}
		const n = 50
		var outs [n]strings.Builder
		var cmds [n]*exec.Cmd
		for i := range n {
			cmds[i] = exec.Command(self)
			cmds[i].Env = append(os.Environ(), pathVar+"="+path)
			cmds[i].Stdout, cmds[i].Stderr = &outs[i], os.Stderr
			if err := cmds[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			if err := cmds[i].Wait(); err != nil {
				t.Error(err)
			}
		}
		want, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if got := outs[i].String(); got != want {
				t.Errorf("process %d got %q, the file has %q", i, got, want)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.tmp")); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}
