package main

import (
	"regexp"
	"strings"
	"testing"
)

// Mallory's processes, names and arguments, and what root and the victim are shown of them: no line
// is forged, and no command starts anything but what it names.
func TestShownCommandsAreInert(t *testing.T) {
	out := neighbours(t, `
		root() { "$@"; }
		"$BUILT" -q cookie rotate; "$BUILT" -q ensure
		victim "$BUILT" -q cookie rotate
		see() { # as whom
			for flag in "" -v --json; do
				"$1" "$BUILT" $flag --timeout 20s doctor
				"$1" "$BUILT" $flag --timeout 20s names
				"$1" "$BUILT" $flag --timeout 20s repair --dry-run
				"$1" "$BUILT" $flag --timeout 20s repair
				"$1" "$BUILT" $flag --timeout 20s stop
				"$1" "$BUILT" $flag --timeout 20s ensure
			done
		}
		own() { # words of the user's own, or of a directory's owner
			for bad in $'/x\nhint: FORGED' $'/tmp/a\n$ FORGED $(touch /tmp/pwned)' "/tmp/';touch /tmp/pwned;'" -rf; do
				for flag in "" --json; do
					printf '#!/nowhere\n' >"/tmp/${bad##*/}" && chmod 755 "/tmp/${bad##*/}"
					"$1" "$BUILT" $flag --port 4370 --epmd "/tmp/${bad##*/}" --timeout 1s ensure
					"$1" "$BUILT" $flag --port 4370 --epmd "/nowhere/$bad" ensure
					"$1" "$BUILT" $flag --port 4370 --epmd "$bad" doctor
					"$1" "$BUILT" $flag --cookie "file:$bad" cookie path
					"$1" "$BUILT" $flag --cookie "file:$bad" cookie check
					"$1" env HOME="$bad" "$BUILT" $flag doctor
					"$1" env HOME="/home/mallory/$bad" "$BUILT" $flag doctor
					"$1" env ERL_EPMD_PORT="$bad" ERL_EPMD_ADDRESS="$bad" BEAMRUN_DETACH="$bad" "$BUILT" $flag doctor
					"$1" env BEAMRUN_DETACH="$bad" "$BUILT" $flag --port 4370 ensure
					"$1" "$BUILT" $flag -- "$bad"
					"$1" "$BUILT" $flag "--$bad"
					"$1" "$BUILT" $flag names "$bad"
					"$1" "$BUILT" $flag repair -- "$bad"
				done
			done
		}
		quiet() { kill $(pgrep -u 54321); wait; } 2>/dev/null
		mallory "$ATTACK" words but line ends & await "$BUILT" names ready
		hides=$("$BUILT" doctor | grep -c '\$ beamrun repair n10@box ')
		{ see root; see victim; } >/run/shown 2>&1 </dev/null
		quiet
		mallory "$ATTACK" words & sleep 2
		{ see root; see victim; own root; own victim; } >>/run/shown 2>&1 </dev/null
		for name in 'vm$(touch${IFS}/tmp/pwned)' $'vm\nhint: FORGED' "vm';touch /tmp/pwned;'" -rf.box; do
			printf %s "$name" >/proc/sys/kernel/hostname
			for who in root victim; do $who "$BUILT" doctor; $who "$BUILT" --json doctor; $who "$BUILT" --epmdless doctor; done
		done >>/run/shown 2>&1
		quiet
		[ "$hides" = 1 ] || echo "a name like an option hides the command for the others"
		echo "== verdict"
		setpriv --reuid=65534 --regid=65534 --clear-groups env -C /tmp TMPDIR=/tmp "$ATTACK" inert </run/shown
		find /tmp /home /root /run -name pwned
		wc -l </run/shown
		echo "== shown"
		cat /run/shown
	`)
	before, shown, _ := strings.Cut(out, "== shown\n")
	_, verdict, _ := strings.Cut(before, "== verdict\n")
	if strings.Contains(before, "hides") || !regexp.MustCompile(`^[0-9]{2,} commands\n[0-9]{3,}\n$`).MatchString(verdict) {
		t.Errorf("%s", before)
	}
	for _, want := range []string{`/home/mallory/x\n$ FORGED`, "running, and unknown to epmd: ", "$ beamrun repair ", `head -1 $'/tmp/x\012hint: FORGED'`} {
		if !strings.Contains(shown, want) {
			t.Errorf("it lacks %s", want)
		}
	}
	t.Log(shown)
}
