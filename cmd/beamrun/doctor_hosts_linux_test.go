package main

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/doctor"
	"github.com/beamrun/beamrun/internal/testenv"
)

// In a container without systemd, a shell or a user with a name, all is well.
func TestDoctorInContainer(t *testing.T) {
	c := newContainer(t)
	c.tmpfs = []string{"/tmp"}
	c.env = append(c.env, "HOME=/tmp")
	c.start(c.beamrun, erlangBin()+"/erlexec", "-noinput", "-sname", "a", "-eval", `io:format("up: ~p~n", [node()]).`)
	c.awaitUp()
	out, err := c.enter(c.beamrun, "doctor").CombinedOutput()
	if err != nil || regexp.MustCompile(`(?m)^(warn|fail)`).Match(out) || !bytes.Contains(out, []byte("names          1 name, each of a node that listens\n")) {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("\n%s", out)
}

// fiftyNodes is a host with as many, whose doctor is asked ten times, once as another user. It
// prints how long each took, in ms, what each found, and what changed in epmd and in the nodes.
const fiftyNodes = newHostScript + `
export HOME=/root
cd /root
beamrun -q cookie rotate
beamrun -q ensure
await() {
	for i in $(seq 600); do if [ "$(beamrun names | wc -l)" = "$1" ]; then return; fi; sleep 0.1; done
	echo "in vain: $1 nodes"
}
for i in $(seq 50); do
	# every second of them has its name from later on, so that its arguments do not say it
	if [ $((i % 2)) = 0 ]; then set -- -sname "n$i"; else set -- -eval "{ok, _} = net_kernel:start([n$i, shortnames])."; fi
	erl -noinput +S 1:1 +A 1 +SDio 1 +zdbbl 1024 -kernel logger_level info "$@" >>log 2>&1 </dev/null &
	[ $((i % 10)) != 0 ] || await "$i"
done
sleep 1
beamrun names >before
cp log log.before
for i in $(seq 10); do
	begin=$(date +%s%N)
	"$BUILT" doctor >found || true
	echo "took $((($(date +%s%N) - begin) / 1000000))"
	grep -E '^(warn|fail)' found || true
done
setpriv --reuid 65534 --clear-groups "$BUILT" -q doctor >found.other 2>&1 </dev/null || true
grep -E '^[a-z]+ +(names|lost nodes)' found
beamrun names >after
cmp before after && cmp log.before log && echo undisturbed
`

// With fifty nodes: it takes less than a quarter of a second, no node writes a line into its log,
// and all registrations stay.
func TestDoctorWithFiftyNodes(t *testing.T) {
	testenv.Need(t, "epmd", "erl", "ip", "setpriv", "bash")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make a host of its own")
	}
	beamrun, err := builtBeamrun() // as users have it: not this test, nor with the race detector
	if err != nil {
		t.Fatal(err)
	}
	out := seededHost(t, fiftyNodes, beamrun)
	if !strings.Contains(out, "\nundisturbed\n") || !strings.Contains(out, "names          50 names, each of a node that listens\n") ||
		regexp.MustCompile(`(?m)^(warn|fail|in vain)`).MatchString(out) {
		t.Errorf("%s", out)
	}
	var took []time.Duration
	for _, m := range regexp.MustCompile(`(?m)^took (\d+)$`).FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[1] + "ms")
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, d)
	}
	if len(took) == 0 {
		t.Fatalf("%s", out)
	}
	slices.Sort(took)
	t.Logf("50 nodes: %v (median), %v to %v", took[len(took)/2], took[0], took[len(took)-1])
	if took[0] > 250*time.Millisecond { // the least: other tests run meanwhile
		t.Error("too slow")
	}
}

// As JSON it is one object.
func TestDoctorJSON(t *testing.T) {
	testenv.Need(t, "ip", "bash", "epmd")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make a host of its own")
	}
	text := seededHost(t, `export HOME=$0; ip link set lo up; beamrun --json doctor; echo "exit $?"`)
	var said struct {
		Status doctor.Status
		Checks []doctor.Check
	}
	text, isOne := strings.CutSuffix(text, "}\nexit 1\n")
	if err := json.Unmarshal([]byte(text+"}"), &said); err != nil || said.Status != doctor.Fail || !isOne {
		t.Errorf("%v: %s", err, text)
	}
	i := slices.IndexFunc(said.Checks, func(c doctor.Check) bool { return c.Name == "epmd answers" })
	if i < 0 || said.Checks[i].Status != doctor.Fail || said.Checks[i].Command != "beamrun ensure" || !strings.Contains(said.Checks[i].Evidence, "refused") {
		t.Errorf("%+v", said.Checks)
	}
}

// In a pipe it is plain, on a terminal in colours and lines of its width.
func TestDoctorOutput(t *testing.T) {
	h := newHost(t)
	h.run("beamrun", "cookie", "rotate")
	h.run("beamrun", "ensure")
	for _, flag := range []string{"-v", "-q"} {
		if out := h.run("beamrun", flag, "doctor"); strings.Contains(out, "\x1b") || strings.Contains(out, "ok    epmd answers   on 127.0.0.1:") != (flag == "-v") {
			t.Errorf("%s:\n%s", flag, out)
		}
	}
	for _, test := range []struct {
		env, want string
	}{
		{"", "\x1b\\[32mok    \x1b\\[0mepmd answers   on 127\\.0\\.0\\.1:\\d+"},
		{"NO_COLOR=1", `(?m)^ok    epmd answers   on 127\.0\.0\.1:\d+`},
	} {
		cmd := h.command("beamrun", "doctor")
		cmd.Env = append(cmd.Env, test.env)
		s := onTerminal(t, cmd)
		s.expect(test.want)
		s.expect(`addresses      all of this host[^\n]{20,43}\r\n {21}[a-z][^\n]{0,58}\r\n`) // of 80 columns
		s.expect(`\d+ fail\r\n`)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, s.screen)
		}
	}
}

// Another user sees no false alarm, where processes are root's.
func TestDoctorAsAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can be another user")
	}
	h := newHost(t)
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	h.node("a", h.command("beamrun", "erl", "-noinput", "-sname", "a"))
	home := t.TempDir()
	for _, dir := range []string{home, home + "/.."} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(home, alice, alice); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, error) {
		cmd := h.command(beamrun, args...)
		cmd.Dir, cmd.Env = "/", append(cmd.Env, "HOME="+home, "TMPDIR="+home)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: alice, Gid: alice}}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run("cookie", "rotate"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := run("doctor")
	if err != nil || !regexp.MustCompile(`epmd process   user root has port \d+; root can see by which process`).MatchString(out) {
		t.Errorf("%v:\n%s", err, out)
	}
	for _, line := range regexp.MustCompile(`(?m)^(warn|fail).*`).FindAllString(out, -1) {
		if !strings.HasPrefix(line, "warn  cookies in ps") { // those of other tests
			t.Errorf("a false alarm: %s", line)
		}
	}
}
