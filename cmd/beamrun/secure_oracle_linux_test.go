//go:build attacks

package main

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cookies on a host with neighbours, by whom they belong to.
var neighbourCookies = map[string]string{
	"root":              "Ck7root",
	"root's --cookie":   "Ck7given",
	"root's env":        "Ck7env",
	"victim":            "Ck7victim",
	"victim's --cookie": "Ck7vgiven",
	"boxed":             "Ck7boxed",
}

// withFakes begins scripts about fake nodes: each user but mallory has a cookie, and a second one
// to give. `fake NAME [FLAG…]` plays a node as mallory. Three programs can hold its socket:
// /home/mallory/beam.smp is its own, /run/suid/beam.smp is setuid root, and
// /run/suidvictim/beam.smp is setuid victim. `real USER NAME PORT` boots a node that did without
// epmd when it booted.
const withFakes = `
cookie() { (umask 077; printf %s "$3" >"$2"; chmod 400 "$2"; chown "$1" "$2"); }
cookie 0 /root/.erlang.cookie Ck7root; cookie 0 /root/c Ck7given
cookie 54322 /home/victim/.erlang.cookie Ck7victim; cookie 54322 /home/victim/c Ck7vgiven
mkdir /run/suid /run/suidvictim
cp "$ATTACK" /run/suid/beam.smp; cp "$ATTACK" /run/suidvictim/beam.smp
chown 54322:54322 /run/suidvictim/beam.smp; chmod 4755 /run/suid/beam.smp /run/suidvictim/beam.smp
ln -s "$ATTACK" /home/mallory/beam.smp; ln -s "$ATTACK" /home/victim/beam.smp
ready() { await test -e "/tmp/ready.$1"; }
fake() {
	local name=$1; shift
	mallory "$ATTACK" fakenode -name "$name" -ready "/tmp/ready.$name" "$@" & ready "$name"
}
# the test waits for this script's end, and the processes of its namespace end with it
real() { # as it boots without an epmd, nothing registers it by itself
	local user=$1 name=$2 port=$3; [ "$user" != root ] || user=env
	"$user" erl -noinput +S 1:1 +A 0 -sname "$name" -start_epmd false -erl_epmd_port 0 \
		-kernel inet_dist_listen_min "$port" inet_dist_listen_max "$port" </dev/null &
	await bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
}
lasting() { # a node that has its name, and can lose it
	local user=$1 name=$2; [ "$user" != root ] || user=env
	"$user" erl -noinput +S 1:1 +A 0 -sname "$name" </dev/null &
	await sh -c '"$0" names | grep -q "^$1 "' "$BUILT" "$name"
}
# the pid namespace has no other's processes
lose() { kill -KILL $(pgrep -x epmd); await sh -c '! pgrep -x epmd'; }
digests() {
	if [ -e /tmp/digests ]; then sed 's/^/digest /' /tmp/digests; fi
	if ls /tmp/own.* >/dev/null 2>&1; then sed 's/^/own /' /tmp/own.*; fi
}
`

// digestsIn returns what stands in a script's output on lines that begin with that word, each as
// "NAME got THE COOKIE OF".
func digestsIn(out, word string) (all []string) {
	for line := range strings.Lines(out) {
		var name, sum string
		var challenge uint32
		if n, _ := fmt.Sscanf(line, word+" %s %d %s", &name, &challenge, &sum); n != 3 {
			continue
		}
		owner := "somebody"
		for who, cookie := range neighbourCookies {
			if fmt.Sprintf("%x", md5.Sum(fmt.Appendf(nil, "%s%d", cookie, challenge))) == sum {
				owner = who
			}
		}
		all = append(all, name+" got the cookie of "+owner)
	}
	return all
}

// countSame puts equal lines together.
func countSame(lines []string) string {
	slices.Sort(lines)
	var b strings.Builder
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n] == lines[0] {
			n++
		}
		fmt.Fprintf(&b, "\n%4d × %s", n, lines[0])
		lines = lines[n:]
	}
	return b.String()
}

// noDigest is for what every fake of mallory has to end with.
func noDigest(t *testing.T, out string) {
	t.Helper()
	got := digestsIn(out, "digest")
	t.Logf("%d digests were given to mallory", len(got))
	if len(got) > 0 {
		t.Errorf("mallory was given %d digests:%s", len(got), countSame(got))
	}
}

// attemptsIn returns what `beamrun --json repair` said of each node, on the line after each that is
// that word.
func attemptsIn(t *testing.T, out, word string) (all []attemptJSON) {
	t.Helper()
	lines := strings.Split(out, "\n")
	for i, line := range lines[:max(0, len(lines)-1)] {
		if line != word {
			continue
		}
		var said struct{ Nodes []attemptJSON }
		if err := json.Unmarshal([]byte(lines[i+1]), &said); err != nil {
			t.Errorf("%s: %v in %q", word, err, lines[i+1])
		}
		all = append(all, said.Nodes...)
	}
	return all
}

// mustState has each attempt have that state.
func mustState(t *testing.T, what string, all []attemptJSON, state string, count int) {
	t.Helper()
	good := 0
	for _, a := range all {
		if a.State == state {
			good++
		} else if a.Error != nil {
			t.Errorf("%s: %s is %s: %s: %s", what, a.Name, a.State, a.Error.Kind, a.Error.Message)
		} else {
			t.Errorf("%s: %s is %s, not %s", what, a.Name, a.State, state)
		}
	}
	if good != count {
		t.Errorf("%s: %d of %d nodes are %s", what, good, count, state)
	}
}

// Issue SECURE, C1: whatever looks like a node and is not the cookie's owner's gets no answer to
// its challenge, whoever repairs, by whatever words. Real nodes of root and of a user are repaired
// beside them.
func TestSecureNoOracle(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		export X=Ck7env
		real root realroot 9100
		real victim realvictim 9101
		fake plain -holder /home/mallory/beam.smp
		fake half -holder /run/suid/beam.smp -halfclose
		fake suidroot -holder /run/suid/beam.smp
		fake suidvictim -holder /run/suidvictim/beam.smp -home /home/victim
		HOLDER=saved fake saved -holder /run/suid/beam.smp
		HOLDER=undumpable fake undumpable -holder /run/suid/beam.smp
		HOLDER=undumpable fake undumpable2 -holder /home/mallory/beam.smp -home /home/victim
		# a service that begins as root: its socket is root's, and its process is mallory's
		chmod 711 /home/mallory; cp "$ATTACK" /run/suid/attack; ln -s /run/suid/attack /run/beam.smp
		"$ATTACK" fakenode -name dropped -ready /tmp/ready.dropped -become 54321 \
			-holder /run/beam.smp & ready dropped
		# as in the issue, with a setuid root program of the system's: it waits for a password
		mkdir /home/mallory/su; ln -s "$(command -v su)" /home/mallory/su/beam.smp
		fake su -holder /home/mallory/su/beam.smp -args "su -- root -sname su@vm -home /root"
		all="plain half suidroot suidvictim saved undumpable undumpable2 dropped su"
		for user in env victim; do
			dir=/root; [ "$user" = env ] || dir=/home/victim
			for words in "" "--cookie file:$dir/c" "--cookie env:X" "--cookie user"; do
				$user "$BUILT" --json $words repair
				for name in $all; do $user "$BUILT" --json $words repair $name; done
			done
		done >/tmp/said 2>&1
		grep -c '"nodes"' /tmp/said
		echo real; "$BUILT" --json repair realroot realvictim
		lasting root lostroot; lasting victim lostvictim
		for n in 1 2 3; do # OTP may be quicker now and then: it looks every 2 s
			lose; echo "lost for root"; "$BUILT" --json repair
			lose; echo "lost for victim"; victim "$BUILT" --json repair
		done
		digests
		grep -o Ck7[a-z]* /tmp/said
		true`)
	mustState(t, "beside the fakes", attemptsIn(t, out, "real"), "repaired", 2)
	for user, want := range map[string][]string{
		"root": {"lostroot", "lostvictim"}, "victim": {"lostvictim"},
	} {
		repaired := map[string]int{}
		for _, a := range attemptsIn(t, out, "lost for "+user) {
			if name, _, _ := strings.Cut(a.Name, "@"); a.State == "repaired" {
				repaired[name]++
			}
		}
		t.Logf("repaired by %s, without being named: %v", user, repaired)
		if names := slices.Sorted(maps.Keys(repaired)); !slices.Equal(names, want) {
			t.Errorf("repaired by %s, without being named: %q, not %q", user, names, want)
		}
	}
	noDigest(t, out)
	if strings.Contains(out, "\nCk7") {
		t.Errorf("a cookie is printed: %s", out)
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

// Issue SECURE, C1: the digest is worth all that its cookie is. Mallory hands the challenge of a
// real node to who repairs, and logs in there by the answer.
func TestSecureNoRelay(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		real root realroot 9100
		real victim realvictim 9101
		fake toroot -holder /run/suid/beam.smp -relay 127.0.0.1:9100 -run "id >/root/marker"
		fake tovictim -holder /run/suidvictim/beam.smp -home /home/victim -relay 127.0.0.1:9101 \
			-run "id >/home/victim/marker"
		for user in env victim; do
			$user "$BUILT" repair; $user "$BUILT" repair toroot tovictim
		done >/dev/null 2>&1
		for i in 1 2 3 4 5; do
			cat /root/marker /home/victim/marker 2>/dev/null && break; sleep 0.2
		done
		echo real; "$BUILT" --json repair realroot realvictim
		digests`)
	if strings.Contains(out, "uid=") {
		t.Errorf("mallory ran a command as root or as victim: %s", out)
	}
	noDigest(t, out)
	mustState(t, "beside the relays", attemptsIn(t, out, "real"), "repaired", 2)
}

// Issue SECURE, C1: a node of the victim's is found, it ends, and somebody else has its port before
// beamrun connects to it.
func TestSecureNoRebind(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		real victim realvictim 9101
		for n in 1 2 3; do # await has an i of its own
			port=920$n
			victim "$ATTACK" vanishingnode gone$n 127.0.0.1:$port \
				/home/victim/beam.smp /home/victim /tmp/there$n & await test -e /tmp/there$n
			mallory "$ATTACK" fakenode -name gone$n -listen 127.0.0.1:$port \
				-ready /tmp/ready.gone$n &
			"$BUILT" --json repair gone$n
			test -e /tmp/ready.gone$n || echo "the port was not taken: nothing was tried"
		done >/tmp/said 2>&1
		cat /tmp/said
		echo real; "$BUILT" --json repair realvictim
		digests`)
	noDigest(t, out)
	mustState(t, "beside them", attemptsIn(t, out, "real"), "repaired", 1)
	if strings.Contains(out, "nothing was tried") {
		t.Logf("%s", out)
	}
}

// Issue SECURE, C1: nobody types anything. A name is registered while somebody watches, and
// dropped; what listens is asked 10 to 15 s later. A process of the watcher's own user is the one
// that is to be reported.
func TestSecureWatchNoOracle(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	out := neighbours(t, withFakes+`
		"$BUILT" ensure
		own() { local user=$1 name=$2 beam=$3 home=$4; shift 4
			"$user" "$ATTACK" fakenode -name "$name" -ready "/tmp/ready.$name" -holder "$beam" \
				-home "$home" -digests "/tmp/own.$name" -epmd 127.0.0.1:4369 -hold 3s &
			ready "$name"; }
		mkdir /run/root; ln -s "$ATTACK" /run/root/beam.smp
		own env ownroot /run/root/beam.smp /root
		own victim ownvictim /home/victim/beam.smp /home/victim
		for f in "plain /home/mallory/beam.smp /root" "suidroot /run/suid/beam.smp /root" \
			"suidvictim /run/suidvictim/beam.smp /home/victim" \
			"plainvictim /home/mallory/beam.smp /home/victim"; do
			set -- $f
			fake $1 -holder $2 -home $3 -epmd 127.0.0.1:4369 -hold 3s
		done
		"$BUILT" --watch sleep 17 >/tmp/said 2>&1 & watches=$!
		victim "$BUILT" --watch sleep 17 >/tmp/said.victim 2>&1 & watches="$watches $!"
		wait $watches
		cat /tmp/said /tmp/said.victim
		digests`)
	noDigest(t, out)
	// Of the watcher's own nodes it is tried; but here the process that accepts is not the one that
	// was found, so that gets nothing either.
	for _, own := range []string{"ownroot", "ownvictim"} {
		tried := regexp.MustCompile(own +
			` \(port \d+\) runs, .*another process listens there by now`)
		if !tried.MatchString(out) {
			t.Errorf("nothing was tried: %s", own)
		}
	}
	if own := digestsIn(out, "own"); len(own) > 0 {
		t.Errorf("another process got a digest: %q", own)
	}
	t.Logf("%v", time.Since(begin).Round(time.Second))
	if t.Failed() {
		t.Log(out)
	}
}

// Issue SECURE, C2: the cookie file of a process in a container is a link that would lead to
// another file on the host. A real node in a mount namespace of its own is repaired by root and by
// its user.
func TestSecureContainerCookie(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		setuser() { setpriv --reuid=54322 --regid=54322 --clear-groups "$@"; }; export -f setuser
		box() {
			unshare --mount bash -c 'mount -t tmpfs tmpfs /home; mkdir -m 700 /home/app
				chown 54322:54322 /home/app; cd /; export HOME=/home/app; '"$1"
		}
		inbox() { # a name, and where its cookie's path leads
			box 'ln -s "$ATTACK" /home/app/beam.smp; '"$2"'
				setuser "$ATTACK" fakenode -name '$1' -ready /tmp/ready.'$1' \
					-holder /home/app/beam.smp '"$3" &
			ready $1
		}
		inbox linked "ln -s /home/victim/.erlang.cookie /home/app/.erlang.cookie" "-home /home/app"
		inbox magic "ln -s /proc/1/root/home/victim/.erlang.cookie /home/app/.erlang.cookie" \
			"-home /home/app"
		inbox parent "ln -s /home/victim /home/app/home" "-home /home/app/home"
		export -f cookie
		box 'cookie 54322 /home/app/.erlang.cookie Ck7boxed
			setuser erl -noinput +S 1:1 +A 0 -sname boxed -start_epmd false -erl_epmd_port 0 \
			-kernel inet_dist_listen_min 9100 inet_dist_listen_max 9100 </dev/null' &
		await bash -c "exec 3<>/dev/tcp/127.0.0.1/9100"
		real victim realvictim 9101
		for user in env victim; do
			$user "$BUILT" --json repair
			for name in linked magic parent; do $user "$BUILT" --json repair $name; done
		done
		install -o 54322 -m 400 /home/victim/.erlang.cookie /home/victim/given
		for name in linked magic parent boxed; do
			victim "$BUILT" --cookie file:/home/victim/given --json repair $name
		done
		echo boxed by root; "$BUILT" --json repair boxed realvictim
		lose
		echo boxed by its user; victim "$BUILT" --json repair boxed realvictim
		digests`)
	noDigest(t, out)
	mustState(t, "by root", attemptsIn(t, out, "boxed by root"), "repaired", 2)
	mustState(t, "by its user", attemptsIn(t, out, "boxed by its user"), "repaired", 2)
	if t.Failed() {
		t.Log(out)
	}
}

// The same for a root directory of its own (chroot) in the host's mount namespace: what lies
// outside is not its cookie.
func TestSecureChrootCookie(t *testing.T) {
	t.Parallel()
	out := neighbours(t, withFakes+`
		mkdir /run/jail; mount -t tmpfs -o mode=755 tmpfs /run/jail; cd /run/jail
		mkdir usr dev proc tmp run run/keep home home/app home/victim
		for d in bin lib lib64 sbin; do
			if [ -L /$d ]; then cp -P /$d .; else mkdir -p $d; mount --rbind /$d $d; fi
		done
		mount --rbind /usr usr; mount --rbind /dev dev; mount --bind /run/keep run/keep
		mount --bind /tmp tmp; mount -t proc proc proc
		ln -s /run/keep/attack beam.smp; ln -s /home/victim/.erlang.cookie home/app/.erlang.cookie
		for home in app victim; do
			chroot --userspec=54322:54322 --groups= /run/jail "$ATTACK" fakenode -name jailed$home \
				-ready /tmp/ready.jailed$home -holder /beam.smp -home /home/$home &
			ready jailed$home
		done
		cd /root
		real victim realvictim 9101
		for user in env victim; do
			$user "$BUILT" --json repair
			for name in jailedapp jailedvictim; do $user "$BUILT" --json repair $name; done
		done
		echo real; "$BUILT" --json repair realvictim
		digests`)
	noDigest(t, out)
	mustState(t, "beside it", attemptsIn(t, out, "real"), "repaired", 1)
	if t.Failed() {
		t.Log(out)
	}
}
