package main

import "testing"

// The secret of derive: is not shown to the program by its parent, which stays with --watch.
func TestSecureSecretOfParent(t *testing.T) {
	t.Parallel()
	out := neighbours(t, `
		"$BUILT" ensure >/dev/null
		victim env BEAMRUN_SECRET=Ck7secret "$BUILT" --watch --cookie derive:web sh -c '
			for f in environ mem maps; do cat /proc/$PPID/$f; done 2>/dev/null | grep -ac "Ck7secret"; echo "code $?"; exit 5'
		echo "ended with $?"`)
	if out != "0\ncode 1\nended with 5\n" {
		t.Errorf("%q", out)
	}
}
