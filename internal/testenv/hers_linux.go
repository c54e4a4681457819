package testenv

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Mallory is a user that no system has.
const Mallory = 54321

// Hers makes a directory of Mallory's, with what stands in it, each an empty directory or, with "!"
// before it, a program of hers.
func Hers(t *testing.T, entries ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		Skip(t, "only root can make another user's files")
	}
	dir := filepath.Join(t.TempDir(), "hers")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, isProgram := strings.CutPrefix(e, "!")
		path := filepath.Join(dir, name)
		above := path
		if isProgram {
			above = filepath.Dir(path)
		}
		err := os.MkdirAll(above, 0o755)
		if isProgram {
			err = errors.Join(err, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, Mallory, Mallory))
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
