package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// builtBeamrun is the program as users have it: static, so that it runs in any root, and where
// every user may run it. (That of testscript is this test binary, in a directory of the caller's
// own.)
var builtBeamrun = sync.OnceValues(func() (string, error) { return build("beamrun") })

// useBuilt has the tests run that program as "beamrun". With the race detector in it, each of their
// some thousand starts takes a tenth of a second more: all together more than the ten minutes of
// go test. CI sets BEAMRUN_RACE, and has it in what these tests start too.
func useBuilt() {
	path, err := builtBeamrun()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Setenv("PATH", filepath.Dir(path)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// build compiles beamrun under that name, with those flags of go build.
func build(name string, flags ...string) (string, error) {
	dir, err := makeBuiltDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	build := exec.Command("go", append(append([]string{"build"}, flags...), "-o", path, ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
}

var makeBuiltDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "beamrun-test-")
	builtDir = dir
	return dir, errors.Join(err, os.Chmod(dir, 0o755))
})
