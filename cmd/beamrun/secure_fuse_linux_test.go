//go:build attacks

package main

import (
	"strings"
	"testing"
	"time"
)

// A helper that can't even be killed, for it waits for a file system of the node's user, keeps
// root's repair no longer than its time. Nor does it keep the repair of another node.
func TestSecureHelperInDeadFileSystem(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+withTimes+`
		mkdir /run/dead; chown 54321 /run/dead
		"$ATTACK" deadfuse /run/dead /tmp/ready.fuse & ready fuse
		real victim realvictim 9101
		fake dead1 -holder /home/mallory/beam.smp -home /run/dead
		fake dead2 -holder /home/mallory/beam.smp -home /run/dead/more
		timed all timeout -k 1 20 "$BUILT" --timeout 3s --json repair dead1 dead2 realvictim
		digests`)
	noDigest(t, out)
	if took := timesIn(out, "all"); len(took) != 1 || took[0] > 3*time.Second+timeLeeway {
		t.Errorf("it took %v", took)
	}
	repaired := 0
	for _, a := range attemptsIn(t, out, "all") {
		if a.State != "lost" && strings.HasPrefix(a.Name, "realvictim") {
			repaired++
		}
	}
	if repaired != 1 {
		t.Errorf("the victim's node was not repaired")
	}
	if t.Failed() {
		t.Log(out)
	}
}

// Nor does a process with its root directory in such a file system.
func TestSecureRootInDeadFileSystem(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+withTimes+`
		mkdir /run/dead; chown 54321 /run/dead
		"$ATTACK" deadfuse /run/dead /tmp/ready.fuse & fuse=$!; ready fuse
		"$BUILT" ensure >/dev/null
		mallory unshare --user --map-root-user \
			"$ATTACK" rootin /run/dead /tmp/ready.in -sname evil & await grep there /tmp/ready.in
		timed repair "$BUILT" --timeout 2s --json repair & last=$!
		for i in 1 2 3 4 5; do sleep 1; done
		kill -KILL $fuse # ends the file system
		wait $last`)
	if took := timesIn(out, "repair"); len(took) != 1 || took[0] > 2*time.Second+timeLeeway {
		t.Errorf("it took %v: %s", took, out)
	}
}

// Root asks nothing of a file system that another user serves, as its own HOME or TMPDIR would have
// it after sudo -E. Owners and modes there are what that user likes, and the answer may never come.
func TestSecurePathInFileSystemOfOther(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+withTimes+`
		mkdir /run/dead; chown 54321 /run/dead
		"$ATTACK" deadfuse /run/dead /tmp/ready.fuse & ready fuse
		export HOME=/run/dead/home TMPDIR=/run/dead/tmp
		export XDG_RUNTIME_DIR=/run/dead/run BINDIR=/run/dead/bin
		timed check timeout -k 1 20 "$BUILT" cookie check
		timed ensure timeout -k 1 20 "$BUILT" --timeout 2s ensure
		timed doctor timeout -k 1 20 "$BUILT" --timeout 2s doctor
		timed launch timeout -k 1 20 "$BUILT" --timeout 2s true`)
	for _, word := range []string{"check", "ensure", "doctor", "launch"} {
		if took := timesIn(out, word); len(took) != 1 || took[0] > 2*time.Second+timeLeeway {
			t.Errorf("%s took %v", word, took)
		}
	}
	if !strings.Contains(out, "uid 54321") || !strings.Contains(out, ": started ") {
		t.Errorf("it does not name the owner, or has started no epmd")
	}
	if t.Failed() {
		t.Log(out)
	}
}
