package main

import (
	"strings"
	"testing"
)

// Root starts a script that goes on as another user (su, an init script): the node loads the
// module, and is found by that user's nodes and by beamrun, wherever its environment leads both.
func TestEpmdlessChangesUser(t *testing.T) {
	out := neighbours(t, `
		mount -t tmpfs -o mode=755 tmpfs /var/cache
		umask 077
		as_victim() { setpriv --reuid=54322 --regid=54322 --clear-groups "$@"; }
		victim mkdir tmp
		n=0
		for vars in HOME=/home/victim HOME=/root XDG_CACHE_HOME=/home/victim/new XDG_CACHE_HOME=/home/victim/none/new XDG_CACHE_HOME=relative \
			"HOME=/root TMPDIR=/home/victim/tmp" "HOME=/root TMPDIR=/home/mallory" "HOME= XDG_CACHE_HOME="; do
			n=$((n + 1))
			"$BUILT" --epmdless setpriv --reuid=54322 --regid=54322 --clear-groups env HOME=/home/victim $vars \
				erl -noinput -sname "a$n@localhost" -setcookie c >/tmp/out 2>&1 &
			for i in $(seq 100); do
				found=$(as_victim env HOME=/home/victim $vars "$BUILT" --epmdless names 2>&1 | grep -o "^a$n ")
				test "$found" && break
				sleep 0.1
			done
			echo "$vars: ${found:-$(cat /tmp/out)}"
			kill -KILL $!; wait $! 2>/dev/null
		done
		"$BUILT" --epmdless setpriv --reuid=54322 --regid=54322 --clear-groups env HOME=/home/victim erl -noinput -sname b@localhost -setcookie c >/tmp/out 2>&1 &
		await victim "$BUILT" --epmdless names b@localhost
		victim "$BUILT" --epmdless erl -noinput -sname c@localhost -setcookie c -eval 'io:format("~p~n", [net_adm:ping(b@localhost)]), halt().'
		"$BUILT" --epmdless erl -noinput -sname d@localhost -setcookie c -eval 'io:format("root: ~p~n", [net_adm:ping(b@localhost)]), halt().' 2>&1 | tail -n 1
		victim "$BUILT" --epmdless -q doctor 2>&1 | grep -i "epmdless\|folder"
		"$BUILT" repair b 2>&1 | grep "node b"
		stat -c '%u %a' /var/cache/beamrun /var/cache/beamrun/* /var/cache/beamrun/*/*
		ls -d /root/.cache/beamrun/nodes-* | tr -d 0-9
	`)
	t.Log(out)
	for n, line := range strings.Split(out, "\n")[:8] {
		if want := string(rune('1' + n)); !strings.HasSuffix(line, ": a"+want+" ") {
			t.Errorf("%s", line)
		}
	}
	if !strings.HasSuffix(out, "\npong\nroot: pang\nbeamrun: node b@localhost: epmdless: it does without epmd, by files of its user's (uid 54322)\n0 755\n0 755\n0 644\n/root/.cache/beamrun/nodes-vm-\n") {
		t.Error("the rest is otherwise")
	}
}

// Where root's module cannot be where every user reads it, nothing is launched that would fail for
// want of it.
func TestEpmdlessSharedDirectory(t *testing.T) {
	out := neighbours(t, `
		mount -t tmpfs -o mode=755 tmpfs /var/cache
		mkdir /var/cache/beamrun; chmod 777 /var/cache/beamrun
		"$BUILT" --epmdless echo launched; echo $?
		rmdir /var/cache/beamrun; ln -s /tmp /var/cache/beamrun
		"$BUILT" --epmdless echo launched; echo $?
		rm /var/cache/beamrun; mount -o remount,ro /var/cache
		"$BUILT" --epmdless echo launched; echo $?
		mount -o remount,rw /var/cache
		"$BUILT" --epmdless true; mount -o remount,ro /var/cache # as it is
		"$BUILT" --epmdless echo launched read-only
		mount -o remount,rw /var/cache
		cd /var/cache/beamrun/*; chown 54321 erl_epmd.beam
		"$BUILT" --epmdless echo again; stat -c %u erl_epmd.beam
	`)
	t.Log(out)
	const bad = "beamrun: epmdless: no directory for nodes' files: /var/cache/beamrun is not a directory that uid 0 alone can change and all can read (mode 0755)\n"
	if strings.Count(out, bad) != 2 || strings.Count(out, "launched\n") != 0 || strings.Count(out, "\n1\n") != 3 ||
		!strings.Contains(out, "read-only file system\nhint: root's module ") || !strings.HasSuffix(out, "launched read-only\nagain\n0\n") {
		t.Error("otherwise")
	}
}
