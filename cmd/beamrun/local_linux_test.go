package main

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// twoHosts is a script that makes two hosts of network namespaces. It starts a node on the one, and
// tries from the other to connect to everything that listens there. "$@" is beamrun and what is
// given before the program.
const twoHosts = `
	ip link set lo up
	ip link add v0 type veth peer name v1
	unshare --net sleep 60 & other=$!
	until ip link set v1 netns $other 2>/dev/null && ! ip link show v1 >/dev/null 2>&1
	do sleep 0.01; done
	ip addr add 10.0.0.1/24 dev v0; ip addr add fd00::1/64 dev v0 nodad; ip link set v0 up
	there="nsenter -t $other -n"
	$there ip addr add 10.0.0.2/24 dev v1; $there ip addr add fd00::2/64 dev v1 nodad
	$there ip link set v1 up

	"$@" erl -sname a@localhost -noinput & node=$!
	n=0; until "$1" names a >/dev/null 2>&1; do n=$((n + 1)); test $n -lt 300; sleep 0.1; done
	"$@" erl -sname b@localhost -noinput \
		-eval 'io:format("~p~n", [net_adm:ping(a@localhost)]), halt().'
	listeners=$(ss -ltnH | sed 's/ \+/ /g' | cut -d' ' -f4 | sort)
	for listener in $listeners; do
		echo "listens $listener"
		for host in 10.0.0.1 fd00::1; do
			if $there timeout 3 bash -c "</dev/tcp/$host/${listener##*:}" 2>/dev/null
			then echo "reached $host"; fi
		done
	done
	kill $node`

// With --local another host can reach neither epmd nor the node; without it, it can reach both.
func TestLocal(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "epmd", "erl", "ip", "ss", "unshare", "nsenter", "bash")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make network namespaces")
	}
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	run := func(script string, flags ...string) []string {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args := []string{"--net", "--pid", "--mount-proc", "--fork", "--kill-child",
			"sh", "-euc", script, "sh", beamrun}
		cmd := exec.CommandContext(ctx, "unshare", append(args, flags...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.Split(strings.TrimSpace(string(out)), "\n")
	}
	count := func(lines []string, prefix string) (n int) {
		for _, line := range lines {
			if strings.HasPrefix(line, prefix) {
				n++
			}
		}
		return n
	}

	for _, flags := range [][]string{{"--local"}, {"--local", "--cookie", "fresh"}} {
		lines := run(twoHosts, flags...)
		loopback := count(lines, "listens 127.0.0.1:") + count(lines, "listens [::1]:")
		if lines[0] != "pong" && flags[1:] == nil || loopback != 3 ||
			count(lines, "listens") != 3 || count(lines, "reached") != 0 {
			t.Errorf("%q: %q", flags, lines)
		}
	}
	// each of the three is open to IPv4, and epmd to IPv6
	lines := run(twoHosts)
	if lines[0] != "pong" || count(lines, "reached 10.0.0.1") < 2 ||
		count(lines, "reached fd00::1") < 1 {
		t.Errorf("without it: %q", lines)
	}

	// an epmd that is there already is taken, with a warning
	const exposed = `ip link set lo up
		ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/24 dev v0; ip link set v0 up
		"$@" ensure; "$@" --local ensure 2>&1; "$@" --json --local ensure
		"$@" -q --local ensure 2>&1; "$@" --local true 2>&1`
	const warning = "this epmd was not started as local: " +
		"it listens on 10.0.0.1:4369 too, where other hosts may reach it"
	lines = run(exposed)
	if len(lines) != 6 || count(lines[:1], "epmd on 127.0.0.1:4369: started") != 1 ||
		lines[1] != "beamrun: warning: "+warning ||
		lines[2] != "epmd on 127.0.0.1:4369: already running" ||
		!strings.Contains(lines[3], `"warnings":["`+warning+`"]`) ||
		lines[4] != lines[1] || lines[5] != lines[1] {
		t.Errorf("%q", lines)
	}
	// one that --local started gives none
	const local = `ip link set lo up
		ip link add v0 type veth peer name v1; ip addr add 10.0.0.1/24 dev v0; ip link set v0 up
		"$@" --local ensure; "$@" --local ensure
		"$@" --local elixir --sname x@localhost -e 'IO.puts node()'`
	lines = run(local)
	if len(lines) != 3 || count(lines, "epmd on 127.0.0.1:4369: ") != 2 ||
		lines[2] != "x@localhost" {
		t.Errorf("%q", lines)
	}
	// a name that leads elsewhere
	const named = `ip link set lo up; "$@" --local erl -name x@10.1.1.1 -noinput -eval 'halt().'`
	lines = run(named)
	if !slices.Contains(lines, "beamrun: warning: the node listens on 127.0.0.1 only, "+
		"and its name leads others to 10.1.1.1 (10.1.1.1); name it NAME@localhost") {
		t.Errorf("%q", lines)
	}
}

func TestNodeHost(t *testing.T) {
	own, _ := os.Hostname()
	for line, want := range map[string]string{
		"-sname a": own, "--name a@h.example": "h.example", "-noinput -name a@h": "h",
		"--sname": "", "-- --sname a@h": "", "-extra -sname a@h": "", "": "",
	} {
		if got := nodeHost(strings.Fields(line)); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
