package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// planted is a problem of a host that is well but for it.
type planted struct {
	name  string
	plant string // a script for bash
	check string // what finds it
	found string // status and evidence, a regular expression
	mend  string // a script; empty: the command that doctor says
}

var allPlanted = []planted{
	{"no epmd runs", `kill -KILL $(pid 4369); sleep 0.1`, "epmd answers", `fail .* down: .*refused`, ""},
	{"no epmd runs, and nodes do", `node alice; node bob; kill -KILL $(pid 4369); sleep 0.1`, "lost nodes",
		`fail running without a name, for no epmd answers: alice@vm \(pid \d+, port \d+\), bob@vm \(pid \d+, port \d+\)$`, ""},
	{"epmd is stopped", `kill -STOP $(pid 4369)`, "epmd answers", `fail .* hung: `, ""},
	{"another program has the port", `kill -KILL $(pid 4369); sleep 0.1; listen 4369`, "epmd answers",
		`fail .* foreign: beam.smp \(pid \d+\) has the port and is no epmd`, `kill -KILL $(pid 4369); sleep 0.2; beamrun -q ensure`},
	{"epmd is not installed any more", `mount -t tmpfs none "$ERLANG"`, "epmd program", `warn no epmd program in .*could not be started again`,
		`umount "$ERLANG"`},
	{"a second epmd", `epmd -daemon -port 4371; sleep 0.2`, "other epmds", `warn pid \d+ on port 4371`, `beamrun --port 4371 stop`},
	{"epmd runs at a terminal", `beamrun -q stop; onterminal epmd -port 4369 & await beamrun -q names`, "lifetime",
		`warn it runs at a terminal`, ""},
	{"epmd runs at a terminal, and a node runs", `beamrun -q stop; onterminal epmd -port 4369 & epmd=$!; await beamrun -q names; node up; node=$!`, "lifetime",
		`warn it runs at a terminal`, `kill -KILL $node; while beamrun names up; do sleep 0.05; done; beamrun -q stop && beamrun -q ensure; node up`},
	{"epmd's program was replaced", `beamrun -q stop; cp "$(readlink -f "$(command -v epmd)")" epmd; ./epmd -port 4369 </dev/null >/dev/null 2>&1 &
		await beamrun -q names; rm epmd`, "epmd process", `warn .*; its program /root/epmd was deleted, or replaced by another$`, ""},
	{"epmd's program was replaced, and a node runs", `beamrun -q stop; cp "$(readlink -f "$(command -v epmd)")" epmd; ./epmd -port 4369 </dev/null >/dev/null 2>&1 &
		await beamrun -q names; rm epmd; node up`, "epmd process", `warn .*; its program /root/epmd was deleted, or replaced by another$`,
		`kill -KILL $!; while beamrun names up; do sleep 0.05; done; beamrun -q stop && beamrun -q ensure; node up`},
	{"a defunct epmd", `sh -c 'epmd -port 4371 & echo $! >ended; exec sleep 1000' </dev/null >/dev/null 2>&1 & await beamrun --port 4371 names; kill -KILL $(cat ended); sleep 0.1`,
		"defunct epmds", `warn 1 epmd ended, and their parents do not wait for them: pid \d+, of sleep \(pid \d+\)$`, `kill $!`},
	{"an epmd that ends without ::1", `echo 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6; mkdir -p otp/erts-11.1.8/bin; cp "$(readlink -f "$(command -v epmd)")" otp/erts-11.1.8/bin
		export PATH=/root/otp/erts-11.1.8/bin:$PATH ERL_EPMD_ADDRESS=127.0.0.1; beamrun -q stop; beamrun -q ensure`, "epmd program",
		`warn /root/otp/erts-11.1.8/bin/epmd, of ERTS 11.1.8, ends where an address is asked for \(127.0.0.1\) and the host has no \[::1\]$`,
		`echo 0 >/proc/sys/net/ipv6/conf/lo/disable_ipv6`},
	{"a module in ERL_FLAGS that is not there", `export ERL_FLAGS='-epmd_module my_epmd -pa /root'`, "epmd module",
		`warn ERL_FLAGS has -epmd_module my_epmd, of which no file was found: neither in -pa and -pz of these variables \(/root\), nor in ERL_LIBS \(not set\)`, `: >my_epmd.beam`},
	{"a module in ELIXIR_ERL_OPTIONS that is not there", `export ELIXIR_ERL_OPTIONS='-epmd_module my_epmd' ERL_LIBS=/root/lib`, "epmd module",
		`warn ELIXIR_ERL_OPTIONS has -epmd_module my_epmd, .*nor in ERL_LIBS \(/root/lib\)`, `mkdir -p lib/my-1.0/ebin; : >lib/my-1.0/ebin/my_epmd.beam`},
	{"a stale name", `hold ghost 44444 &
		await beamrun names ghost`, "names", `fail ghost is stale: nobody listens on its port 44444; held by .*\(pid \d+\)$`, `kill $!`},
	{"a name whose port another program has", `listen 44445; hold web 44445 &
		await beamrun names web`, "names", `fail web has port 44445, where beam.smp \(pid \d+\) listens, which does not say its name`, `kill $!`},
	{"a name at the port of another node", `node real; hold other $(beamrun names real) &
		await beamrun names other`, "names", `fail other has port \d+, where beam.smp \(pid \d+\) listens, which is node real@vm`, `kill $!`},
	{"a node that epmd does not know", `kill -KILL $(pid 4369); sleep 0.1
		erl -noinput -sname lost -start_epmd false -erl_epmd_port 0 & await listening; beamrun -q ensure`,
		"lost nodes", `warn running without epmd, as started .*: lost@vm \(pid \d+, port \d+\)`, ""},
	{"a node that epmd knew before it died", `node lost; kill -KILL $(pid 4369); sleep 0.1; beamrun -q ensure`, "lost nodes",
		`warn running, and unknown to epmd: lost@vm \(pid \d+, port \d+\); but this epmd is new`, ""},
	{"a node that is stopped and that epmd does not know", `kill -KILL $(pid 4369); sleep 0.1
		erl -noinput -sname lost -start_epmd false -erl_epmd_port 0 & await listening; beamrun -q ensure; kill -STOP $!`,
		"lost nodes", `fail node lost: silent: .*; hint: if it is stopped, wake it: kill -CONT \d+`, `kill -CONT $!; sleep 0.1; beamrun repair lost`},
	{"what is no node's file, among them", `epmdless lost; cd ~/.cache/beamrun/nodes-*; mkdir -p "a folder/more"; mkfifo pipe.1; ln -s /etc/passwd link.1; : >theirs.1; chown 65534 theirs.1; cd`,
		"epmdless nodes", `warn no nodes' files, in /root/\.cache/beamrun/nodes-vm-\d+: 'a folder' is a folder, link.1 is a link, pipe.1 is a pipe, theirs.1 is another user's`, ""},
	{"a stopped node whose file is gone", `epmdless lost; sleep 3.1; kill -STOP $!; rm ~/.cache/beamrun/nodes-*/lost.*`, "epmdless nodes",
		`fail running, and without a file in /root/\.cache/beamrun/nodes-vm-\d+, so not found: lost \(pid \d+\)`, ""},
	{"a node that can make no file", `epmdless lost; sleep 3.1; cd ~/.cache/beamrun/nodes-*; f=$(echo lost.*); rm "$f"; mkdir "$f"; cd`, "epmdless nodes",
		`fail no nodes' files, .*: lost.\d+ is a folder; running, and without a file in .*, so not found: lost \(pid \d+\)`, ""},
	{"nodes of another HOME", `mkdir -m 700 other; cp -p .erlang.cookie other; HOME=/root/other epmdless lost`, "epmdless nodes",
		`warn registered in another folder than that of this environment, /root/\.cache/.*: lost \(pid \d+\) in /root/other/\.cache/`, `export HOME=/root/other`},
	{"the nodes' folder is open to others", `epmdless lost; chmod 755 ~/.cache/beamrun/nodes-*`, "epmdless nodes",
		`fail epmdless: no directory for nodes' files: /root/.cache/beamrun/nodes-vm-\d+ is not a directory of this user alone`, `chmod 700 ~/.cache/beamrun/nodes-*`},
	{"the host's name has no address", `echo "127.0.0.1 localhost" >/etc/hosts`, "host name", `fail short names \(NAME@vm\): vm has no address`, ""},
	{"the host's name leads elsewhere", `echo "192.0.2.7 vm" >/etc/hosts`, "host name", `fail .*: vm leads to 192.0.2.7, which is no address of this host`, ""},
	{"the same, where the file is a mount", `echo "192.0.2.7 vm" >hosts; mount --bind hosts /etc/hosts`, "host name",
		`fail .*: vm leads to 192.0.2.7, which is no address of this host`, ""},
	{"the file of hosts is empty", `: >/etc/hosts`, "host name", `fail short names \(NAME@vm\): vm has no address`, ""},
	{"the host's name is a command", `printf '%s' 'v$(touch pwned)' >/proc/sys/kernel/hostname`, "host name", `fail short names .*: "v\$\(touch pwned\)" is not a host name`,
		`[ -e pwned ] || hostname vm`},
	{"the search domain is a command", `printf '127.0.1.1 vm\n' >/etc/hosts; echo 'search $(touch${IFS}pwned)' >/etc/resolv.conf`, "host name",
		`warn .*"vm.\$\(touch\$\{IFS\}pwned\)" is not a host name`, `[ -e pwned ] || echo >/etc/resolv.conf`},
	{"the host's long name leads elsewhere", `printf '127.0.1.1 vm\n192.0.2.7 vm.example.org vm\n' >/etc/hosts`, "host name",
		`warn .*long names \(NAME@vm.example.org\): vm.example.org leads to 192.0.2.7`, ""},
	{"no cookie", `rm ~/.erlang.cookie`, "cookie", `warn there is no /root/.erlang.cookie`, ""},
	{"a cookie that others can read", `chmod 644 ~/.erlang.cookie`, "cookie", `fail cookie file /root/.erlang.cookie: others may read`, ""},
	{"an empty cookie", `chmod 600 ~/.erlang.cookie; : >~/.erlang.cookie`, "cookie", `fail cookie file /root/.erlang.cookie: it is empty`, ""},
	{"a cookie of Erlang's kind", `chmod 600 ~/.erlang.cookie; printf ABCDEFGHIJKLMNOPQRST >~/.erlang.cookie`, "cookie",
		`warn .*/\.erlang\.cookie: valid, but guessable \(CVE-2018-1279\)$`, ""},
	{"a weak cookie, and a node runs", `chmod 600 ~/.erlang.cookie; printf ABCDEFGHIJKLMNOPQRST >~/.erlang.cookie; node up`, "cookie",
		`warn .*: valid, but guessable \(CVE-2018-1279\)$`, `kill -KILL $!; while beamrun names up; do sleep 0.05; done; beamrun cookie rotate; node up`},
	{"no cookie, and a node runs", `node up; cp -p .erlang.cookie kept; rm .erlang.cookie`, "cookie", `warn there is no /root/.erlang.cookie`, `mv kept .erlang.cookie`},
	{"an empty cookie, and a node runs", `node up; cp -p .erlang.cookie kept; rm .erlang.cookie; install -m 400 /dev/null .erlang.cookie`, "cookie",
		`fail cookie file /root/.erlang.cookie: it is empty`, `mv -f kept .erlang.cookie`},
	{"a short cookie", `chmod 600 ~/.erlang.cookie; printf monster >~/.erlang.cookie`, "cookie", `warn .*: valid, but weak: it has 7 characters$`, ""},
	{"ERL_EPMD_PORT means another epmd", `export ERL_EPMD_PORT=4371`, "environment",
		`fail ERL_EPMD_PORT: 4371; .*none answers on port 4371, but there is one on port 4369`, ""},
	{"ERL_EPMD_PORT is no port", `export ERL_EPMD_PORT=epmd`, "environment", `fail ERL_EPMD_PORT: "epmd" is not a port`, ""},
	{"epmd listens on more than is asked for", `export ERL_EPMD_ADDRESS=127.0.0.1`, "addresses",
		`warn all of this host, while only 127.0.0.1 is asked for`, ""},
	{"a cookie in an argument list", `erl -noinput -sname loud -setcookie seen_by_all & await beamrun names loud`, "cookies in ps",
		`warn every user of this host can read the cookie of loud \(pid \d+, user root\) \(-setcookie\)`,
		`kill -KILL $!; while beamrun names loud; do sleep 0.05; done; node loud`},
	{"a release's cookie in its argument list", `mkdir -p app/releases/1; cp /usr/lib/erlang/bin/start_clean.boot app/releases/1/start.boot
		erl -noinput -boot /root/app/releases/1/start -sname loud -setcookie seen_by_all & await beamrun names loud`, "cookies in ps",
		`warn every user of this host can read the cookie of loud \(pid \d+, user root\) \(-setcookie\)$`,
		`kill -KILL $!; while beamrun names loud; do sleep 0.05; done; node loud`},
	{"HOME is not set", `unset HOME`, "home", `fail \$HOME is not defined: a node with a name does not boot`, ""},
	{"HOME is no folder", `export HOME=/root/none`, "home", `fail HOME is /root/none, which is no folder`, `mkdir -p -m 700 /root/none; beamrun cookie rotate`},
	{"the lock can't be opened", `rm -f ~/.cache/beamrun/epmd-4369.lock; mkdir ~/.cache/beamrun/epmd-4369.lock`, "state folder",
		`warn /root/.cache/beamrun/epmd-4369.lock is no regular file`, ""},
}

// onSeededHost is the script around a planted problem. $0 is the test's directory.
const onSeededHost = `
set -eu # until this /etc is not the machine's
ip link set lo up
hostname vm
mount -t tmpfs -o mode=700 none /root
mkdir "$0/etc" "$0/work"
mount -t tmpfs none "$0/etc"
mkdir "$0/etc/upper" "$0/etc/work"
mount -t overlay none -o "lowerdir=/etc,upperdir=$0/etc/upper,workdir=$0/etc/work" /etc
printf '127.0.0.1 localhost\n127.0.1.1 vm\n' >/etc/hosts
echo "nameserver 127.0.0.1" >/etc/resolv.conf
set +e
export HOME=/root
cd /root

pid() { # of the process that listens on a port
	ss -ltnpH "sport = :$1" | sed -n 's/.*pid=\([0-9]*\),.*/\1/p' | head -n 1
}
await() { # until a command succeeds
	for i in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.05; done
	echo "in vain: $*"
}
listening() { [ "$(ss -ltnpH | grep -c beam.smp)" != 0 ]; } # a node
node() { # with a short name
	erl -noinput -sname "$1" </dev/null & await beamrun names "$1"
}
epmdless() { # a node with a short name, without epmd
	beamrun --epmdless erl -noinput -sname "$1" </dev/null & await beamrun --epmdless names "$1"
}
listen() { # on a port, and never say a word
	erl -noinput -eval "{ok, _} = gen_tcp:listen($1, [{reuseaddr, true}]), receive after infinity -> ok end." </dev/null & await pid_is_there "$1"
}
pid_is_there() { [ "$(pid "$1")" != "" ]; }
hold() { # a name in epmd, at a port (ALIVE2)
	exec 8<>/dev/tcp/127.0.0.1/4369
	printf "\0\\x$(printf %x $((13 + ${#1})))x\\x$(printf %02x $(($2 / 256)))\\x$(printf %02x $(($2 % 256)))M\0\0\6\0\5\0\\x$(printf %x ${#1})$1\0\0" >&8
	exec sleep 1000 # with that connection
}
see() { echo "== $1"; beamrun -q doctor; echo "exit $?"; }

beamrun cookie rotate >/dev/null
beamrun -q ensure
see before
eval "$1"
see planted
echo "== mending"
beamrun -q doctor | sed -n 's/^ *\$ //p' >"$0/mend"
if [ "$2" != "" ]; then eval "$2"; else . "$0/mend"; fi
for i in $(seq 40); do [ "$(beamrun -q doctor)" = "" ] && break; sleep 0.05; done
see after
echo "== mend"
cat "$0/mend"
`

// doctor finds each problem, and nothing else; the command that it says, run as it stands, mends it.
func TestDoctor(t *testing.T) {
	testenv.Need(t, "epmd", "erl", "ss", "ip", "bash")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make a host of its own")
	}
	section := func(out, name string) string {
		_, after, _ := strings.Cut(out, "== "+name+"\n")
		text, _, _ := strings.Cut(after, "\n== ")
		return strings.TrimSpace(text)
	}
	for _, p := range allPlanted {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			out := seededHost(t, onSeededHost, p.plant, p.mend)
			if got := section(out, "before"); got != "exit 0" {
				t.Errorf("a false alarm on a host that is well: %s", got)
			}
			got := section(out, "planted")
			status, want, _ := strings.Cut(p.found, " ")
			line := regexp.MustCompile(`(?m)^(warn|fail) +(` + regexp.QuoteMeta(p.check) + `) +(.*)$`).FindStringSubmatch(got)
			if line == nil || line[1] != status || !regexp.MustCompile(want).MatchString(line[3]) {
				t.Errorf("it said\n%s\nwant %s: %s", got, p.check, p.found)
			}
			for _, c := range regexp.MustCompile(`(?m)^ +\$ (.*)$`).FindAllStringSubmatch(got, -1) {
				if strings.Contains(c[1], "kill ") && !strings.Contains(c[1], "kill -CONT ") || strings.HasSuffix(p.name, " a node runs") {
					t.Errorf("a command that may harm what runs: %s", c[1])
				}
			}
			if alarms := regexp.MustCompile(`(?m)^(warn|fail)`).FindAllString(got, -1); len(alarms) != 1 {
				t.Logf("more than one alarm:\n%s", got)
			}
			if wantExit := map[string]string{"warn": "exit 0", "fail": "exit 1"}[status]; !strings.HasSuffix(got, wantExit) {
				t.Errorf("it said\n%s\nwant %s", got, wantExit)
			}
			if got := section(out, "after"); got != "exit 0" {
				t.Errorf("afterwards it said %s\nall:\n%s", got, out)
			}
			if line != nil {
				mend, how := p.mend, "by hand"
				if mend == "" {
					mend, how = section(out, "mend"), "its command"
				}
				t.Logf("| %s | %s, %s: %s | %s: %s |", p.name, status, p.check, line[3], how, strings.Join(strings.Fields(mend), " "))
			}
		})
	}
}

// withEpmdless is a host with nodes that do without epmd, all as they should be. Without epmd, then with one.
const withEpmdless = newHostScript + `
mkdir -m 700 /root/other
chown 65534 /root/other
chmod 711 /root
export HOME=/root
cd /root
beamrun -q cookie rotate
await() {
	for i in $(seq 400); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.05; done
	echo "in vain: $*"
}
see() { echo "== $1"; shift; "$@" || echo "exit $?"; }

see none beamrun -q --epmdless doctor
node() { beamrun --epmdless "$@" </dev/null & }
node erl -noinput -sname a -rsh /usr/bin/ssh
node erl -noinput -sname killed; killed=$!
node erl -noinput -eval '{ok, _} = net_kernel:start([later, shortnames]).'
node --dist-port 9100 erl -noinput -sname s
listen='{ok, _} = gen_tcp:listen(0, []), receive after infinity -> ok end.'
node erl -noinput -sname visits -dist_listen false -eval "$listen"
node erl -noinput -eval "$listen" # a server without a name
HOME=/root/other setpriv --reuid 65534 --clear-groups env -C / "$BUILT" --epmdless erl -noinput -sname theirs &
for n in a killed later; do await beamrun --epmdless names $n; done
await sh -c '[ "$(ss -ltnH sport = :9100)" != "" ]'
await sh -c '[ "$(ss -ltnpH | grep -c beam)" = 7 ]'
sleep 3.1
kill -KILL $killed; { wait $killed || true; } 2>/dev/null
see without beamrun --epmdless doctor
see theirs env -C / HOME=/root/other setpriv --reuid 65534 --clear-groups "$BUILT" --epmdless doctor
beamrun -q ensure
see with beamrun -q doctor
see lost beamrun -v doctor
see repair beamrun repair
ls "$HOME"/.cache/beamrun/nodes-*
`

// Nodes that do without epmd are no alarm, whatever way they do, and whoever's they are.
func TestDoctorEpmdless(t *testing.T) {
	testenv.Need(t, "epmd", "erl", "ss", "ip", "setpriv", "bash")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make a host of its own")
	}
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	out := seededHost(t, withEpmdless, beamrun)
	for _, want := range []string{
		"== none\n== without\n",
		`== without\nok    epmdless nodes a, later: each registered by its file in /root/\.cache/beamrun/nodes-vm-\d+; s \(pid \d+\) on port 9100, as all of its peers; ` +
			`nodes that a \(pid \d+\) starts on other hosts \(-rsh\) get no environment, so look for an epmd: start them there by beamrun --epmdless too\nok    host name `,
		`== theirs\nok    epmdless nodes theirs: each registered by its file in /root/other/\.cache/beamrun/nodes-vm-\d+\nok    host name `,
		"== with\n== lost\n",
		"ok    lost nodes     none: epmd knows every node of this host that could be seen, but for those that do without it\nok    epmdless nodes a, later: ",
		"== repair\nno node has lost its name\na\\.\\d+\nlater\\.\\d+\n$",
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("it lacks %s", want)
		}
	}
	if t.Failed() || strings.Contains(out, "in vain") {
		t.Errorf("%s", out)
	}
}

// newHostScript begins a script with a host on which nothing is: an empty /root, and names that lead to itself. $0 is the test's directory,
// $1 a beamrun that any user may run.
const newHostScript = `
set -eu
BUILT=$1
ip link set lo up
hostname vm
mount -t tmpfs -o mode=700 none /root
printf '127.0.0.1 localhost\n127.0.1.1 vm\n' >"$0/hosts"
mount --bind "$0/hosts" /etc/hosts
`

// seededHost runs a script for bash in namespaces of its own, which end with it, and returns what it printed.
func seededHost(t *testing.T, script string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "host") // not with the test's name in it, for it becomes a part of mount's options
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--net", "--mount", "--pid", "--mount-proc", "--uts", "--ipc", "--fork", "--kill-child",
		"env", "--default-signal=INT,TERM", // an older unshare leaves them ignored
		"bash", "-c", script, dir}, args...)...)
	erl, _ := exec.LookPath("erl")
	erl, _ = filepath.EvalSymlinks(erl)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "BEAMRUN_DETACH=session", "ERLANG=" + filepath.Dir(filepath.Dir(erl))}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
