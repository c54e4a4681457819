package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// A release is started with its own epmd, be it named by a path or by a link, and learns nothing of
// how that was found. (The directories of one, with a copy of the real epmd; examples has real
// releases.)
func TestReleasesOwnEpmd(t *testing.T) {
	testenv.Need(t, "epmd")
	root := releaseWithEpmd(t, "echo root=$RELEASE_ROOT $*")
	at := func(name string) string { return filepath.Join(root, name) }
	if err := os.Symlink(at("bin/my_app"), at("link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		program string
		own     bool
	}{
		{at("bin/my_app"), false}, // there is no releases folder yet
		{at("bin/my_app"), true}, {at("link"), true}, {"bin/my_app", true}, {"sh", false},
	} {
		if tt.own {
			os.Mkdir(at("releases"), 0o755)
		}
		h := newHost(t)
		cmd := h.command("beamrun", tt.program, "start")
		if tt.program == "sh" {
			cmd.Args = []string{"beamrun", "sh", "-c", "echo root=$RELEASE_ROOT start"}
		}
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "root= start\n" {
			t.Errorf("%s: %v, %q", tt.program, err, out)
		}
		exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", testenv.PID(h.port)))
		if (exe == at("erts-1.0/bin/epmd")) != tt.own || filepath.Base(exe) != "epmd" {
			t.Errorf("%s: the epmd is %q", tt.program, exe)
		}
	}
}

// releaseWithEpmd makes the directories of a release, but releases itself, with a copy of the real
// epmd and bin/my_app, a script of that line.
func releaseWithEpmd(t *testing.T, line string) (root string) {
	t.Helper()
	real, err := exec.LookPath("epmd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(real)
	root = t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	err = errors.Join(err, os.MkdirAll(at("bin"), 0o755), os.MkdirAll(at("erts-1.0/bin"), 0o755),
		os.WriteFile(at("erts-1.0/bin/epmd"), text, 0o755),
		os.WriteFile(at("bin/my_app"), []byte("#!/bin/sh\n"+line+"\n"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// With --watch each epmd of a release is its own one, also the next.
func TestReleasesOwnEpmdWatched(t *testing.T) {
	testenv.Need(t, "epmd")
	root := releaseWithEpmd(t, "read line")
	at := func(name string) string { return filepath.Join(root, name) }
	if err := os.Mkdir(at("releases"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	cmd := h.command("beamrun", "--watch", at("bin/my_app"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer stdin.Close()
	last := 0
	for range 2 {
		deadline := time.Now().Add(10 * time.Second)
		pid := testenv.PID(h.port)
		for ; pid == 0 || pid == last; pid = testenv.PID(h.port) {
			if time.Now().After(deadline) {
				t.Fatalf("no epmd after that of pid %d", last)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if exe, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); exe != at("erts-1.0/bin/epmd") {
			t.Errorf("the epmd is %q", exe)
		}
		last = pid
		testenv.Signal(t, pid, syscall.SIGKILL)
	}
}
