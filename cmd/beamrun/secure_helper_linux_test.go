//go:build attacks

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Issue SECURE, C1: what acts for root with another user's ids gives that user no hold on root.
// Mallory looks for such processes, tries to look into them, and stops each; the cookie files are
// pipes, and lie in user and mount namespaces of mallory's. Repair ends in time, leaves nothing
// behind, and repairs what is not mallory's.
func TestSecureHelperAmongAttackers(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	out := neighbours(t, withFakes+withTimes+`
		real root realroot 9100
		real victim realvictim 9101
		cookie 54321 /home/mallory/.erlang.cookie Ck7mallory; chmod 711 /home/mallory
		mallory mkdir /home/mallory/pipe; mallory mkfifo -m 600 /home/mallory/pipe/.erlang.cookie
		mallory mkdir /home/mallory/device
		mallory ln -s /dev/zero /home/mallory/device/.erlang.cookie
		for n in 1 2 3 4 5; do # await has an i of its own
			fake own$n -holder /home/mallory/beam.smp -home /home/mallory -digests /tmp/hers
			fake pipe$n -holder /home/mallory/beam.smp -home /home/mallory/pipe
			fake zero$n -holder /home/mallory/beam.smp -home /home/mallory/device
		done
		if mallory unshare --user --map-root-user --mount true 2>/dev/null; then
			echo "user namespaces are there"
			mallory unshare --user --map-root-user --mount "$ATTACK" fakenode \
				-name inside -ready /tmp/ready.inside \
				-holder /home/mallory/beam.smp -home /home/mallory/pipe & ready inside
		fi
		echo quiet; "$BUILT" --json repair own1
		mallory "$ATTACK" hunt /tmp/hunted /tmp/ready.hunt & ready hunt
		timed all "$BUILT" --timeout 5s --json repair
		timed named "$BUILT" --timeout 5s --json repair realroot own2 pipe2 zero2 realvictim
		timed real "$BUILT" --timeout 5s --json repair realroot realvictim
		sleep 0.3
		ps -eo user,stat,comm | grep beamrun | sed 's/^/left /'
		sed 's/^/hunted /' /tmp/hunted 2>/dev/null
		wc -l /tmp/hers 2>/dev/null
		digests`)
	noDigest(t, out)
	var repaired []string
	for _, a := range append(attemptsIn(t, out, "named"), attemptsIn(t, out, "real")...) {
		if name, _, _ := strings.Cut(a.Name, "@"); strings.HasPrefix(name, "real") {
			if a.State != "repaired" && a.State != "registered" {
				t.Errorf("%s is %s: %+v", a.Name, a.State, a.Error)
			} else if !slices.Contains(repaired, name) {
				repaired = append(repaired, name)
			}
		}
	}
	for _, word := range []string{"all", "named", "real"} {
		if took := timesIn(out, word); len(took) != 1 || took[0] > 5*time.Second+timeLeeway {
			t.Errorf("%s took %v", word, took)
		}
	}
	hunted := 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "left ") {
			t.Errorf("a process is left: %s", line)
		}
		if text, ok := strings.CutPrefix(line, "hunted "); ok {
			hunted++
			if !strings.Contains(text, "got []") {
				t.Errorf("mallory looked into one: %s", text)
			}
		}
	}
	t.Logf("%v; mallory found %d processes that act for root; repair took %v, %v, %v; repaired %q",
		time.Since(begin).Round(time.Second), hunted,
		timesIn(out, "all"), timesIn(out, "named"), timesIn(out, "real"), repaired)
	if t.Failed() {
		t.Logf("%.6000s", out)
	}
}
