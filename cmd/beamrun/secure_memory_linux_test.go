//go:build attacks

package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// measuredIn returns what the attack "measure" printed.
func measuredIn(out string) (all []measured) {
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 7 || f[0] != "measured" {
			continue
		}
		m := measured{user: f[1], command: f[2], said: f[6]}
		m.code, _ = strconv.Atoi(f[3])
		m.memory, _ = strconv.Atoi(f[4])
		us, _ := strconv.Atoi(f[5])
		m.took = time.Duration(us) * time.Microsecond
		all = append(all, m)
	}
	return all
}

// withinBudget has every run have stayed in the budget of memory and time.
func withinBudget(t *testing.T, what, out string, runs int) {
	t.Helper()
	all := measuredIn(out)
	if len(all) != runs {
		t.Errorf("%s: %d of %d runs: %s", what, len(all), runs, out)
	}
	var table strings.Builder
	for _, m := range all {
		limit := timeBudget + timeLeeway
		if strings.Contains(m.command, "sleep 3") {
			limit = 3*time.Second + timeLeeway
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %d | %.1f MiB | %.2f s |\n",
			what, m.user, m.command, m.code, float64(m.memory)/1024, m.took.Seconds())
		if m.memory > memoryBudget {
			t.Errorf("%s, uid %s: %s took %d MiB or more: %s",
				what, m.user, m.command, m.memory>>10, m.said)
		}
		if m.took > limit {
			t.Errorf("%s, uid %s: %s took %v", what, m.user, m.command, m.took)
		}
		if m.code < 0 || regexp.MustCompile(`panic|fatal error|goroutine `).MatchString(m.said) {
			t.Errorf("%s, uid %s: %s crashed or was ended: %s", what, m.user, m.command, m.said)
		}
	}
	t.Logf("\n| attack | user | command | exit | peak memory | time |\n"+
		"|---|---|---|---|---|---|\n%s", &table)
}

// Issue SECURE, H1 and rule 2: whatever mallory's processes and names are, each command stays below
// 64 MiB and ends by its --timeout. All of these are there at once:
//   - arguments and an environment of 64 GiB;
//   - 5,000 processes with 128 KiB of arguments of one byte each, that share 2,000 listening
//     sockets and 100,000 descriptors;
//   - 300 names at a port that drops what comes;
//   - 20,000 files in the caller's own directory of nodes without epmd. Most of them lead to a port
//     where something listens.
func TestSecureMemoryOfProcesses(t *testing.T) {
	begin := time.Now()
	commands := []string{"ensure", "names", "names -v", "--json names", "doctor", "--json doctor",
		"repair --dry-run", "repair", "repair hugeargs evil1", "cookie check", "--epmdless names",
		"--epmdless doctor", "stop", "--watch sleep 3"}
	out := neighbours(t, withFakes+`
		ulimit -n 120000 || ulimit -n "$(ulimit -Hn)"
		for user in env victim; do
			$user "$BUILT" --epmdless erl -noinput -sname one -eval 'halt().' </dev/null
			for dir in $($user sh -c 'echo ~/.cache/beamrun/nodes-*'); do
				$user bash -c 'for i in {1..20000}; do
					echo "n$i $((i % 4 ? 4369 : 9)) 127.0.0.1 1 - - -" >"$0/n$i.1"
				done' "$dir"
				[ "$(ls "$dir" | wc -l)" -ge 20000 ] || echo "no files in $dir"
			done
		done
		"$BUILT" ensure >/dev/null; echo "$SECONDS s: files"
		mallory "$ATTACK" hugeargs hugeargs /root 64 0 /tmp/ready.args & ready args
		mallory "$ATTACK" hugeargs hugeenv /home/victim 0 64 /tmp/ready.env & ready env
		mallory "$ATTACK" hugeargs hugeboth /home/mallory 64 64 /tmp/ready.both & ready both
		mallory "$ATTACK" heldnames held 300 90s 1 /tmp/ready.held & ready held
		open=$(($(ulimit -n) < 100000 ? $(ulimit -n) - 100 : 100000))
		mallory "$ATTACK" herd herd 5000 2000 $open /tmp/ready.herd & ready herd
		one=/proc/$(cat /tmp/ready.herd)
		echo "herd: $SECONDS s, $(ls /proc | grep -c "^[0-9]") processes," \
			"$(ls $one/fd | wc -l) descriptors each"
		[ "$(cat $one/comm) $(wc -c <$one/cmdline)" = "beam.smp 131072" ] || echo "no herd"
		"$ATTACK" measure 0 54322 -- "`+strings.Join(commands, `" "`)+`"
		echo "$SECONDS s: measured"; digests`)
	if strings.Contains(out, "no herd") || strings.Contains(out, "no files") {
		t.Error(out)
	}
	withinBudget(t, "processes, names, files", out, 2*len(commands))
	t.Log(regexp.MustCompile(`(?m)^herd: .*|^\d+ s: .*`).FindAllString(out, -1))
	noDigest(t, out)
	t.Log(time.Since(begin).Round(time.Second))
}

// The same for replies, of an epmd that is mallory's.
func TestSecureMemoryOfReplies(t *testing.T) {
	begin := time.Now()
	commands := []string{"ensure", "names", "names -v", "names n1", "--json names", "doctor",
		"--json doctor", "repair --dry-run", "repair", "stop", "--watch sleep 3"}
	for _, reply := range []string{"many", "name", "endless"} {
		out := neighbours(t, withFakes+`
			mallory "$ATTACK" hugeepmd `+reply+` /tmp/ready.epmd & ready epmd
			"$ATTACK" measure 0 54322 -- "`+strings.Join(commands, `" "`)+`"`)
		withinBudget(t, reply, out, 2*len(commands))
	}
	t.Log(time.Since(begin).Round(time.Second))
}
