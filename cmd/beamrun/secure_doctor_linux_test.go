//go:build attacks

package main

import (
	"regexp"
	"strings"
	"testing"
)

// As root, doctor runs no getent of another user's where PATH names that user's directory, as after
// sudo -E. It asks getent only where this host's name leads nowhere.
func TestSecureDoctorRunsNoGetent(t *testing.T) {
	t.Parallel()
	out := neighbours(t, `
		hostname strange
		mallory mkdir bin lib; chmod 755 /home/mallory
		mallory sh -c 'printf "#!/bin/sh\nid >>/tmp/ran\n" >bin/getent; chmod 755 bin/getent
			touch /tmp/ran; chmod 666 /tmp/ran'
		PATH="/home/mallory/bin:$PATH" "$BUILT" doctor | grep "host name"
		cat /tmp/ran`)
	if strings.Contains(out, "uid=") {
		t.Errorf("a program of mallory's ran: %s", out)
	}
	if !strings.Contains(out, "strange has no address") {
		t.Errorf("nothing was tried: %s", out)
	}
}

// What doctor did not look at, for there is too much of it, is not called none.
func TestSecureDoctorSaysUnseen(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		"$BUILT" ensure >/dev/null
		mallory "$ATTACK" herd herd 600 10 10 /tmp/ready.herd & ready herd
		"$BUILT" doctor | grep "lost nodes"`)
	if !strings.Contains(out, "not be looked at") || strings.Contains(out, "none: ") {
		t.Error(out)
	}
}

// A stale name is held by a connection to epmd. Who made that passes it to a daemon of another
// user's: doctor shows no command that ends the daemon.
func TestSecureDoctorKillsNoBystander(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		"$BUILT" ensure >/dev/null
		victim "$ATTACK" takefds /tmp/daemon /tmp/ready.daemon & ready daemon
		mallory "$ATTACK" givename stale 1 /tmp/daemon
		"$BUILT" names
		"$BUILT" doctor
		echo "daemon $(cat /tmp/ready.daemon)"`)
	if !strings.Contains(out, "stale is stale") {
		t.Errorf("nothing was tried: %s", out)
	}
	_, pid, _ := strings.Cut(out, "\ndaemon ")
	pid = strings.TrimSpace(pid)
	if pid == "" || regexp.MustCompile(`(?m)^ *\$ .*\b`+pid+`\b`).MatchString(out) {
		t.Error(out)
	}
}
