package cookie

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobodyUID is a user that no system has; root plays it beside itself.
const nobodyUID = 54321

// users are those that the tests can be: root and another, or whoever runs them.
func users() []int {
	if os.Geteuid() == 0 {
		return []int{0, nobodyUID}
	}
	return []int{os.Geteuid()}
}

// become makes cmd run as uid, in a process group of its own.
func become(cmd *exec.Cmd, uid int) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if uid != os.Geteuid() {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
}

// openDir is a new directory that every user may enter, unlike t.TempDir's.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cookie")
	if err := errors.Join(err, os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				os.Chmod(path, 0o700)
			}
			return nil
		})
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// ownBinary is a copy of the test binary that every user may run.
func ownBinary(t *testing.T, dir string) string {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(dir, "cookie.test")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(to, from)
	if err := errors.Join(err, to.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// play runs the test binary in a role, gives it in and decodes what it answers into out, both as
// JSON.
func play(t *testing.T, cmd *exec.Cmd, role string, in, out any) {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var errs strings.Builder
	cmd.Env = append(os.Environ(), roleVar+"="+role)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(text)), &errs
	cmd.WaitDelay = time.Second
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", role, err, errs.String())
	}
	if err := json.Unmarshal(answer, out); err != nil {
		t.Fatalf("%s: %v: %q", role, err, answer)
	}
}

// answer is the other end of play.
func answer[In, Out any](f func(In) Out) func() {
	return func() {
		var in In
		if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(f(in)); err != nil {
			panic(err)
		}
	}
}
