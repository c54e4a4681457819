//go:build unix

package doctor

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is no node's file is named for what it is, and the command removes it, and nothing behind a
// link.
func TestForeign(t *testing.T) {
	dir, kept := t.TempDir(), filepath.Join(t.TempDir(), "kept")
	path := func(name string) string { return filepath.Join(dir, name) }
	err := os.WriteFile(kept, nil, 0o600)
	for _, step := range []func() error{
		func() error { return os.MkdirAll(path("a folder/with/more"), 0o700) },
		func() error { return syscall.Mkfifo(path("pipe"), 0o600) },
		func() error { return os.Symlink(filepath.Dir(kept), path("link.1")) },
		func() error { return os.WriteFile(path("plain"), nil, 0o400) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	want := "'a folder' is a folder, link.1 is a link, pipe is a pipe, plain is not a node's"
	entries := []string{path("a folder"), path("link.1"), path("pipe"), path("plain")}
	if os.Getuid() == 0 {
		entries = append(entries, path("theirs.1"), path("theirs"))
		want += ", theirs.1 is another user's, theirs is a folder of user uid 54321"
		if err := os.Mkdir(path("theirs"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path("theirs"), 54321, 54321); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path("theirs.1"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path("theirs.1"), 54321, 54321); err != nil {
			t.Fatal(err)
		}
	}
	c := foreign(dir, entries)
	if c.Status != Warn || !strings.HasSuffix(c.Evidence, want) {
		t.Errorf("%+v, want %s", c, want)
	}
	if os.Getuid() == 0 { // what another user has in a directory is not ours to remove
		at := path("theirs")
		if strings.Contains(c.Command, at+" ") || strings.HasSuffix(c.Command, at) ||
			!strings.Contains(c.Advice, at) {
			t.Errorf("%+v", c)
		}
		if err := os.Remove(path("theirs")); err != nil {
			t.Fatal(err)
		}
	}
	removes(t, c, dir)
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
}

// removes runs the command of a check, after which the directory is empty.
func removes(t *testing.T, c Check, dir string) {
	t.Helper()
	if out, err := exec.Command("bash", "-c", c.Command).CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", c.Command, err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("%s left %v, %v", c.Command, left, err)
	}
}
