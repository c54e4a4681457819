//go:build unix

package locate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each place is looked at only when those before it have none.
func TestFindOrder(t *testing.T) {
	root := t.TempDir()
	place := func(dir, name string) string {
		t.Helper()
		path := filepath.Join(root, dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	at := func(dir string) string { return filepath.Join(root, dir) }

	t.Setenv("BINDIR", at("bindir"))
	t.Setenv("ROOTDIR", at("rootdir"))
	t.Setenv("RELEASE_ROOT", at("release"))
	t.Setenv("PATH", "relative:"+at("path1")+":"+at("path2"))
	place("otp/erts-13.1/bin", "x")
	place("otp/bin", "erl")
	if err := errors.Join(os.MkdirAll(at("path1"), 0o755), os.Symlink(at("otp/bin/erl"), at("path1/erl"))); err != nil {
		t.Fatal(err)
	}
	os.MkdirAll(at("path2/epmd"), 0o755) // a directory is no program

	places := []string{"bindir", "rootdir/erts-13.1/bin", "release/erts-9.0/bin", "path1", "otp/bin", "otp/erts-13.1/bin"}
	for i := len(places) - 1; i >= 0; i-- {
		want := place(places[i], "epmd")
		if got, err := Epmd(t.Context(), "", ""); err != nil || got != want {
			t.Errorf("found %s, %v; want %s", got, err, want)
		}
	}
	if got, err := Epmd(t.Context(), "epmd", ""); err != nil || got != at("path1/epmd") {
		t.Errorf("a name: found %s, %v", got, err)
	}
	os.Chmod(at("bindir/epmd"), 0o644) // not executable; root may execute anything that has one x bit
	if got, err := Epmd(t.Context(), "", ""); err != nil || got != at("rootdir/erts-13.1/bin/epmd") {
		t.Errorf("after chmod: found %s, %v", got, err)
	}

	var e *Error
	if _, err := Epmd(t.Context(), at("bindir/epmd"), ""); !errors.As(err, &e) || e.Missing {
		t.Errorf("not executable: %v", err)
	}
	_, err := Epmd(t.Context(), at("nope"), "")
	if !errors.As(err, &e) || !e.Missing || !strings.Contains(e.Hint, "apt-get install") {
		t.Errorf("missing: %v", err)
	}
}
