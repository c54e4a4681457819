package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/internal/testenv"
)

// container is one made by hand: namespaces of its own (so port 4369 too) over a root that is
// mounted read-only.
type container struct {
	*testing.T
	root, beamrun string // of the image, and in it
	uid           int
	tmpfs         []string // folders in memory, which can be written to
	env           []string
	cmd           *exec.Cmd // PID 1
	out           *os.File
}

// newContainer is one of the small root, whose home holds a cookie.
func newContainer(t *testing.T) *container {
	t.Helper()
	testenv.Need(t, "epmd", "erl", "nsenter", "unshare", "ps", "ldd")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make a container")
	}
	root, err := smallRoot()
	if err != nil {
		t.Fatal(err)
	}
	return &container{T: t, root: root, beamrun: "/bin/beamrun", uid: alice,
		env: []string{"ROOTDIR=" + erlangRoot(), "BINDIR=" + erlangBin(), "EMU=beam", "PROGNAME=erl"}} // as the script erl sets them
}

// start starts PID 1. The container ends with the test.
func (c *container) start(program string, args ...string) {
	c.Helper()
	all := slices.Concat([]string{c.root, strconv.Itoa(c.uid)}, c.tmpfs, []string{"--", program}, args)
	c.cmd = exec.Command("container", all...) // this test binary
	c.cmd.Env = c.env
	var err error
	if c.out, err = os.Create(filepath.Join(c.TempDir(), "out")); err != nil {
		c.Fatal(err)
	}
	defer c.out.Close()
	c.cmd.Stdout, c.cmd.Stderr = c.out, c.out
	const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if _, err := c.cmd.StdinPipe(); err != nil { // one that does not end
		c.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { c.stop(syscall.SIGKILL) })
}

// printed is what PID 1 and its children printed so far.
func (c *container) printed() string {
	text, _ := os.ReadFile(c.out.Name())
	return string(text)
}

// stop sends PID 1 a signal and returns its exit code, -1 when a signal ended it. The container
// must be empty then.
func (c *container) stop(sig syscall.Signal) int {
	c.Helper()
	if c.cmd.ProcessState != nil {
		return c.cmd.ProcessState.ExitCode()
	}
	all := c.processes()
	c.cmd.Process.Signal(sig)
	return c.wait(all)
}

// wait waits for the end of PID 1, and so of those processes, and returns its exit code.
func (c *container) wait(all []process) int {
	c.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		c.Errorf("PID 1 does not end")
		c.cmd.Process.Kill()
	})
	defer late.Stop()
	c.cmd.Wait()
	for _, p := range all {
		if err := syscall.Kill(p.pid, 0); err == nil {
			c.Errorf("a process of the container is left: %v", p)
		}
	}
	return c.cmd.ProcessState.ExitCode()
}

// enter is a program that runs in the container beside PID 1, as docker exec does it.
func (c *container) enter(args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(c.Context(), 20*time.Second)
	c.Cleanup(cancel)
	id := strconv.Itoa(c.uid)
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(c.cmd.Process.Pid),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--setuid", id, "--setgid", id}, args...)...)
	cmd.Env = c.env
	return cmd
}

// ensure runs `beamrun ensure` in the container.
func (c *container) ensure() string {
	c.Helper()
	out, err := c.enter(c.beamrun, "ensure").CombinedOutput()
	if err != nil {
		c.Fatalf("%v: %s%s", err, out, c.printed())
	}
	return string(out)
}

// await waits until ok.
func (c *container) await(what string, ok func() bool) {
	c.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.Fatalf("%s: not in time\n%s%s", what, c.ps(), c.printed())
		}
	}
}

// awaitUp waits until the node a has booted, and prints so.
func (c *container) awaitUp() {
	c.Helper()
	c.await("node a", func() bool { return strings.Contains(c.printed(), "up: ") })
}

// process is one of the container, pid and parent as the host counts.
type process struct {
	pid, parent int
	name, state string
}

func (c *container) processes() (all []process) {
	own, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.cmd.Process.Pid))
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if ns, _ := os.Readlink(dir + "/ns/pid"); ns != own || own == "" {
			continue
		}
		stat, _ := os.ReadFile(dir + "/stat")
		if m := regexp.MustCompile(`(?s)^(\d+) \((.*)\) (\w) (\d+) `).FindSubmatch(stat); m != nil {
			pid, _ := strconv.Atoi(string(m[1]))
			parent, _ := strconv.Atoi(string(m[4]))
			all = append(all, process{pid, parent, string(m[2]), string(m[3])})
		}
	}
	return all
}

// defunct counts the epmds that ended and were never waited for.
func (c *container) defunct() (n int) {
	for _, p := range c.processes() {
		if p.name == "epmd" && p.state == "Z" {
			n++
		}
	}
	return n
}

// epmd is the pid of the one that runs.
func (c *container) epmd() int {
	for _, p := range c.processes() {
		if p.name == "epmd" && p.state != "Z" {
			return p.pid
		}
	}
	return 0
}

// ps is what ps prints of the container, itself left out.
func (c *container) ps() string {
	c.Helper()
	out, err := exec.Command("nsenter", "--target", strconv.Itoa(c.cmd.Process.Pid), "--pid", "unshare", "--mount", "--mount-proc",
		"ps", "--format", "pid,ppid,stat,args", "--cols", "75", "-N", "-C", "ps").CombinedOutput()
	if err != nil {
		c.Errorf("%v: %s", err, out)
	}
	return string(out)
}

// upNode makes a node that tells, when it is up, its pid and its cookie.
var upNode = []string{"-noinput", "-sname", "a", "-eval", `io:format("up: ~s ~s~n", [os:getpid(), erlang:get_cookie()]).`}

// In an image without a shell, without ps and without a name for the user, on a root that can't be
// written to, beamrun becomes the node as PID 1. What it can't do is a warning; TERM (docker stop)
// ends the node in order.
func TestContainer(t *testing.T) {
	const noFolder = "no lock and no log of epmd, for there is no directory for them: "
	derived, _ := cookie.Derive([]byte("secret"), "x")
	for _, test := range []struct {
		name   string
		uid    int
		tmpfs  []string
		env    []string
		flags  []string // of beamrun
		args   []string // of the node
		cookie string   // of the node; empty: it has none and does not boot, whoever starts it
		warned []string
	}{
		{name: "nothing writable", uid: alice, env: []string{"HOME=/home"}, cookie: "fromimage", warned: []string{noFolder}},
		{name: "nothing writable, root", env: []string{"HOME=/home"}, cookie: "fromimage",
			warned: []string{"cookie file /home/.erlang.cookie: it belongs to uid 54321, and root touches no file", noFolder}}, // the node reads it
		{name: "HOME in memory", uid: alice, tmpfs: []string{"/tmp"}, env: []string{"HOME=/tmp"}, cookie: `[0-9a-f]{64}`},
		{name: "derived", uid: alice, tmpfs: []string{"/tmp"}, env: []string{"HOME=/tmp", "BEAMRUN_SECRET=secret"},
			flags: []string{"--cookie", "derive:x"}, cookie: derived},
		{name: "HOME unset", uid: alice, tmpfs: []string{"/tmp"}, args: []string{"-setcookie", "known"}, cookie: "known"},
		{name: "HOME missing", uid: alice, env: []string{"HOME=/nowhere"}, args: []string{"-setcookie", "known"}, cookie: "known",
			warned: []string{noFolder}},
		{name: "no cookie, HOME unset", uid: alice, warned: []string{"cookie: no home directory to keep it in: ", noFolder}},
		{name: "derived, HOME missing", uid: alice, env: []string{"HOME=/nowhere", "BEAMRUN_SECRET=secret"},
			flags: []string{"--cookie", "derive:x"}, warned: []string{"cookie file /nowhere/.erlang.cookie: ", noFolder}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t)
			c.uid, c.tmpfs, c.env = test.uid, test.tmpfs, append(c.env, test.env...)
			c.start("/bin/beamrun", slices.Concat(test.flags, []string{erlangBin() + "/erlexec"}, upNode, test.args)...)
			if test.cookie == "" {
				if code := c.wait(nil); code != 1 || !strings.Contains(c.printed(), "failed_to_start_child,auth") {
					t.Errorf("exit code %d: %s", code, c.printed())
				}
			} else {
				c.awaitUp()
				if c.epmd() == 0 || c.defunct() != 0 {
					t.Errorf("%v", c.processes())
				}
				if code := c.stop(syscall.SIGTERM); code != 0 || !strings.Contains(c.printed(), "SIGTERM received - shutting down") {
					t.Errorf("after TERM: exit code %d: %s", code, c.printed())
				}
				if !regexp.MustCompile(`(?m)^up: 1 ` + test.cookie + `$`).MatchString(c.printed()) {
					t.Errorf("want the cookie %s:\n%s", test.cookie, c.printed())
				}
			}
			warned := regexp.MustCompile(`(?m)^beamrun: warning: (.*)`).FindAllStringSubmatch(c.printed(), -1)
			begins := func(line []string, begin string) bool { return strings.HasPrefix(line[1], begin) }
			if !slices.EqualFunc(warned, test.warned, begins) {
				t.Errorf("want the warnings %q:\n%s", test.warned, c.printed())
			}
		})
	}
}

// One epmd after another is killed, and `beamrun ensure`, entered into the container as by docker
// exec, starts the next. It is up to PID 1 whether defunct ones stay, and what TERM does.
func TestPID1(t *testing.T) {
	const (
		kills   = 5
		ignored = -1
	)
	newContainer(t) // or skip
	testenv.Need(t, "iex", "elixir", "tini")
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	embed, err := build("embed", "-C", "../../examples/embed")
	if err != nil {
		t.Fatal(err)
	}
	sh := func(script string) []string { return append([]string{"sh", "-c", script, beamrun}, upNode...) }
	elixir := []string{"--sname", "a", "--eval", `IO.puts "up: "`}
	for _, test := range []struct {
		name    string
		program []string
		defunct int
		code    int // after TERM
	}{
		{"small root: beamrun, erlexec", slices.Concat([]string{"/bin/beamrun", erlangBin() + "/erlexec"}, upNode), 0, 0},
		{"beamrun, erl", slices.Concat([]string{beamrun, "erl"}, upNode), 0, 0},
		{"beamrun, iex", slices.Concat([]string{beamrun, "iex"}, elixir), 0, 0},
		{"beamrun, elixir", slices.Concat([]string{beamrun, "elixir", "--no-halt"}, elixir), 0, 0},
		{"sh, then beamrun by exec", sh(`"$0" ensure && exec "$0" erl "$@"`), 0, 0},
		{"sh, beamrun its child", sh(`"$0" erl "$@"; exit 3`), 0, ignored},
		{"a launcher in Go", []string{embed}, kills - 1, 2}, // its own is reaped, not those that others start
		{"sleep", []string{"sleep", "60"}, kills, ignored},
		// the remedy: what docker run --init puts before them
		{"tini, beamrun", slices.Concat([]string{"tini", "--", beamrun, "erl"}, upNode), 0, 0},
		{"tini, a launcher in Go", []string{"tini", "--", embed}, 0, 128 + int(syscall.SIGTERM)},
		{"tini, sleep", []string{"tini", "--", "sleep", "60"}, 0, 128 + int(syscall.SIGTERM)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := newContainer(t)
			c.tmpfs, c.env = []string{"/home"}, append(c.env, "HOME=/home")
			if test.program[0] != c.beamrun { // this machine's own root
				c.root, c.beamrun = "/", beamrun
				c.env = []string{"HOME=/home", "PATH=" + os.Getenv("PATH"), "BEAMRUN_DETACH=session"}
			}
			if slices.Contains(test.program, embed) { // its node would halt at once
				c.env = append(c.env, "ERL_AFLAGS=-eval 'io:put_chars(\"up: \"), timer:sleep(infinity)'")
			}
			c.start(test.program[0], test.program[1:]...)
			if slices.Contains(test.program, "sleep") {
				c.await("sleep", func() bool {
					return slices.ContainsFunc(c.processes(), func(p process) bool { return p.name == "sleep" })
				})
				c.ensure()
			} else {
				c.awaitUp()
			}
			for range kills {
				syscall.Kill(c.epmd(), syscall.SIGKILL)
				c.await("epmd's end", func() bool { return c.epmd() == 0 })
				if said := c.ensure(); !strings.Contains(said, ": started ") {
					t.Error(said)
				}
			}
			c.await(fmt.Sprintf("%d defunct", test.defunct), func() bool { return c.defunct() == test.defunct })
			ps := c.ps()
			t.Logf("\n%s", ps)
			if strings.Count(ps, "epmd -port 4369") != 1 || test.defunct == 0 && strings.Contains(ps, "defunct") {
				t.Error("ps sees it otherwise")
			}
			if test.code != ignored {
				if code := c.stop(syscall.SIGTERM); code != test.code {
					t.Errorf("after TERM: exit code %d", code)
				}
				return
			}
			before := c.processes()
			c.cmd.Process.Signal(syscall.SIGTERM)
			time.Sleep(200 * time.Millisecond)
			same := func(p, q process) bool { return p.pid == q.pid }
			if now := c.processes(); len(before) == 0 || !slices.EqualFunc(before, now, same) {
				t.Errorf("before TERM %v, after it %v", before, now)
			}
		})
	}
}

// With --watch PID 1 stays beamrun: it has epmd run again by itself, and waits for what others
// leave behind too.
func TestWatchAsPID1(t *testing.T) {
	c := newContainer(t)
	c.tmpfs, c.env = []string{"/home"}, append(c.env, "HOME=/home")
	c.start("/bin/beamrun", append([]string{"--watch", erlangBin() + "/erlexec"}, upNode...)...)
	c.awaitUp()
	for range 3 {
		own := c.epmd()
		syscall.Kill(own, syscall.SIGKILL)
		c.await("another epmd", func() bool { return c.epmd() != 0 && c.epmd() != own })
		if out, err := c.enter(c.beamrun, "--port", "4370", "ensure").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		own = c.epmd()
		for _, p := range c.processes() {
			if p.name == "epmd" && p.state != "Z" && p.pid != own {
				syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	}
	c.await("no defunct one", func() bool { return c.defunct() == 0 })
	t.Logf("\n%s", c.ps())
	if code := c.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("after TERM: exit code %d", code)
	}
	if !strings.Contains(c.printed(), "beamrun: epmd was gone; epmd on 127.0.0.1:4369: started ") {
		t.Errorf("it printed %q", c.printed())
	}
}
