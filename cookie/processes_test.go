package cookie

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const pathVar = "COOKIE_TEST_PATH"

// The test binary plays one of many processes that make the same file.
func TestMain(m *testing.M) {
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
	for range 5 {
		path := filepath.Join(t.TempDir(), "c")
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
		if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
			t.Errorf("left behind: %v", files)
		}
	}
}
