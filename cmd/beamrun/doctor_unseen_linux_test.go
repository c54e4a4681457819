package main

import (
	"regexp"
	"testing"
)

// What this user may not look into is not called well, and who can look is named. No command is
// shown for a process that was given another user's connection to epmd.
func TestDoctorUnseen(t *testing.T) {
	out := neighbours(t, `
		"$BUILT" -q ensure
		for n in a b; do erl -noinput -sname $n </dev/null & await "$BUILT" names $n; done
		see() { echo "== $1"; shift; "$@" | grep -A 2 -E 'lost nodes|other epmds|cookies in ps|epmd answers|^fail +names'; }
		see well victim "$BUILT" doctor
		see root "$BUILT" doctor
		kill -KILL $(pgrep -x epmd); sleep 0.1
		see down victim "$BUILT" doctor
		see root-down "$BUILT" doctor
		"$BUILT" -q repair; sleep 2.5
		exec 8<>/dev/tcp/127.0.0.1/4369
		printf '\0\x11x\xad\x9cM\0\0\6\0\5\0\4held\0\0' >&8
		await "$BUILT" names held
		setpriv --reuid=54322 --regid=54322 --clear-groups sleep 1000 &
		await pgrep -x sleep
		exec 8>&-
		see held "$BUILT" doctor
		kill $!
	`)
	for _, want := range []string{
		`== well\n(.*\n)*ok    other epmds    none\n(.*\n)*ok    lost nodes     none of this user's; 2 VMs of other users were not looked at\n +root sees more: sudo beamrun doctor\n`,
		`== well\n(.*\n)*ok    cookies in ps  none in the arguments of 2 Erlang VMs\n(.*\n)*== root\n`,
		`== root\n(.*\n)*ok    lost nodes     none: epmd knows every node of this host that could be seen\n(.*\n)*== down\n`,
		`== down\n(.*\n)*ok    lost nodes     none of this user's; 2 VMs of other users were not looked at\n +root sees more: sudo beamrun doctor\n`,
		`== root-down\nfail  epmd answers .*\n(.*\n)*fail  lost nodes     running without a name, for no epmd answers: a@\w+ \(pid \d+, port \d+\), b@\w+ \(pid \d+, port \d+\)\n +\$ beamrun repair\n`,
		`== held\n(.*\n)*fail  names +held is stale: nobody listens on its port 44444; held by sleep \(pid \d+, user uid 54322, who was given the connection of user root\)\n +if nobody needs what holds it`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it lacks %s", want)
		}
	}
	if t.Failed() || regexp.MustCompile(`\$ .*kill|did not happen`).MatchString(out) {
		t.Errorf("%s", out)
	}
}
