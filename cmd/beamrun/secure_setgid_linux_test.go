//go:build attacks

package main

import (
	"strings"
	"testing"
)

// A setgid program that looks like a node gives its group to no helper, which a user could then
// signal, stop and lead where they like.
func TestSecureHelperTakesNoSetgid(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		mkdir /run/setgid; cp "$ATTACK" /run/setgid/beam.smp
		chown 0:42 /run/setgid/beam.smp; chmod 2755 /run/setgid/beam.smp
		chmod 711 /home/mallory; cookie 54321 /home/mallory/.erlang.cookie Ck7mallory
		fake evil -holder /run/setgid/beam.smp -home /home/mallory -digests /tmp/hers
		"$BUILT" repair evil; wc -l </tmp/hers; digests`)
	if !strings.Contains(out, "(setgid)") {
		t.Error(out)
	}
	noDigest(t, out)
}
