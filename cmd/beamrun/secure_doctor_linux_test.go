//go:build attacks

package main

import (
	"strings"
	"testing"
)

// As root, doctor runs no getent of another user's where PATH names that user's directory, as after sudo -E. It asks getent only where this
// host's name leads nowhere.
func TestSecureDoctorRunsNoGetent(t *testing.T) {
	t.Parallel()
	out := neighbours(t, `
		hostname strange
		mallory mkdir bin lib; chmod 755 /home/mallory
		mallory sh -c 'printf "#!/bin/sh\nid >>/tmp/ran\n" >bin/getent; chmod 755 bin/getent; touch /tmp/ran; chmod 666 /tmp/ran'
		PATH="/home/mallory/bin:$PATH" "$BUILT" doctor | grep "host name"
		cat /tmp/ran`)
	if strings.Contains(out, "uid=") {
		t.Errorf("a program of mallory's ran: %s", out)
	}
	if !strings.Contains(out, "strange has no address") {
		t.Errorf("nothing was tried: %s", out)
	}
}
