package main

import "testing"

// The beamrun that starts a launch's epmd is this very program, also where its file is gone by now
// and where there is no /proc. It is called beamrun where it can be. As root it is never one that
// another user can change.
func TestOwnProgram(t *testing.T) {
	got := neighbours(t, `
		cat >/tmp/epmd <<-'END'
			#!/bin/sh
			cat /proc/$PPID/comm >>/tmp/comm
			exec epmd "$@"
		END
		chmod 755 /tmp/epmd; touch /tmp/comm; chmod 666 /tmp/comm
		launch() { # as whom, what is beamrun
			echo "$* ran: $("$@" --epmd /tmp/epmd echo yes 2>&1); its child was called $(tail -n 1 /tmp/comm)"
			epmd -kill >/dev/null
		}
		launch victim "$BUILT"; launch "$BUILT"
		cp "$BUILT" /home/victim/gone; chown 54322 /home/victim/gone
		launch victim bash -c 'exec 9<gone; rm gone; exec /proc/self/fd/9 "$@"' bash
		cp "$BUILT" /home/mallory/beamrun; chown 54321 /home/mallory/beamrun; chmod 755 /home/mallory
		echo "no /proc"
		mount -t tmpfs none /proc
		launch() { echo "$* ran: $("$@" --epmd epmd echo yes 2>&1)"; epmd -kill >/dev/null 2>&1; }
		launch victim "$BUILT"; launch "$BUILT"
		PATH=/run/keep:$PATH; cd /run/keep
		launch victim beamrun; launch beamrun; launch ./beamrun
		launch /home/mallory/beamrun; PATH=/home/mallory:$PATH launch beamrun
	`)
	if want := `victim /run/keep/beamrun ran: yes; its child was called beamrun
/run/keep/beamrun ran: yes; its child was called exe
victim bash -c exec 9<gone; rm gone; exec /proc/self/fd/9 "$@" bash ran: yes; its child was called exe
no /proc
victim /run/keep/beamrun ran: yes
/run/keep/beamrun ran: yes
victim beamrun ran: yes
beamrun ran: yes
./beamrun ran: yes
/home/mallory/beamrun ran: beamrun: where this program's own file is: /home/mallory/beamrun: /home/mallory belongs to uid 54321
beamrun ran: yes
`; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A node cannot read the secret in the environment of the beamrun that stays as its parent, nor can
// another process of the same user.
func TestWatchHidesSecret(t *testing.T) {
	got := neighbours(t, `
		read_from() { victim sh -c 'tr "\0" "\n" <"/proc/$0/environ" 2>&1' "$1" 2>&1 | grep -o "BEAMRUN_SECRET\|denied"; }
		victim env BEAMRUN_SECRET=0123456789abcdef0123456789abcdef "$BUILT" --watch --cookie derive:x sh -c '
			touch up; until [ -e end ]; do sleep 0.05; done; env | grep SECRET; exit 7' 2>/run/said &
		beamrun=$!
		await test -e /home/victim/up
		pid=$(pgrep -u 54322 -x beamrun)
		echo "same user: $(read_from $pid), program: $(read_from $(pgrep -P $pid))"
		grep -q BEAMRUN_SECRET /proc/$pid/environ && echo "root sees it"
		epmd -kill >/dev/null; await epmd -names && grep -c "epmd was gone" /run/said
		kill -TERM $pid; touch /home/victim/end; wait $beamrun; echo "exit code $?"
	`)
	if want := "same user: denied, program: \nroot sees it\n1\nexit code 143\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
