package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// As the parent, too, beamrun passes on what the program is sent, and returns what it returns.
func TestWatchSignals(t *testing.T) {
	h := newHost(t)
	run := func(name string, sig syscall.Signal, want int, program ...string) {
		t.Run(name, func(t *testing.T) {
			cmd := h.command(program[0], program[1:]...)
			cmd.WaitDelay = 25 * time.Second
			var out bytes.Buffer
			r, w := io.Pipe()
			cmd.Stdout, cmd.Stderr = io.MultiWriter(&out, w), os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			first := make(chan bool)
			go func() {
				lines := bufio.NewScanner(r)
				first <- lines.Scan() && lines.Text() == "ready"
				io.Copy(io.Discard, r)
			}()
			if !<-first {
				t.Error("it is not ready")
			}
			begin := time.Now()
			cmd.Process.Signal(sig)
			cmd.Wait() // until nobody has its pipe any more
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("the program ended after %v", took)
			}
			if code := cmd.ProcessState.ExitCode(); code != want {
				t.Errorf("exit code %d, want %d; it printed %q", code, want, &out)
			}
		})
	}
	for sig, name := range map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP", syscall.SIGINT: "INT",
		syscall.SIGQUIT: "QUIT", syscall.SIGUSR1: "USR1", syscall.SIGUSR2: "USR2", syscall.SIGWINCH: "WINCH"} {
		// setsid: without a terminal, where a signal is never the terminal's
		run(name+" handled", sig, 7, "setsid", "-w", "beamrun", "--watch", "bash", "-c", "trap 'exit 7' "+name+"; echo ready; while :; do sleep 0.01; done")
		if sig != syscall.SIGWINCH {
			run(name+" deadly", sig, 128+int(sig), "beamrun", "--watch", "sh", "-c", "ulimit -c 0; echo ready; exec sleep 20")
		}
	}
	run("KILL deadly", syscall.SIGKILL, -1, "beamrun", "--watch", "sh", "-c", "echo ready; exec sleep 20")
	run("HUP ignored", syscall.SIGHUP, 5, "nohup", "beamrun", "--watch", "bash", "-c", "echo ready; sleep 0.3; exit 5")
	run("exit code", 0, 3, "beamrun", "--watch", "erl", "-noinput", "-sname", "x", "-eval", `io:format("ready~n"), timer:sleep(100), halt(3).`)
}

// With epmd killed at random moments, somebody who watches is enough for all nodes of the host:
// epmd is there again at once, and the nodes whose OTP registers again are too. The others beamrun
// has register again.
func TestWatchedNodes(t *testing.T) {
	h := newHost(t)
	a := h.lasting("beamrun", "--watch", "erl", "-sname", "a", "-noinput")
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	a.Stderr = stderr
	said := func() string {
		text, _ := os.ReadFile(stderr.Name())
		return string(text)
	}
	h.node("a", a)
	h.node("b", h.lasting("beamrun", "--watch", "-q", "elixir", "--sname", "b", "--no-halt"))
	h.node("c", h.lasting("erl", "-sname", "c", "-noinput"))
	addr := testenv.Loopback(h.port)
	time.Sleep(6 * time.Second) // until the watches have seen the names
	var answers, backs []time.Duration
	kills := 3
	if all {
		kills = 20
	}
	for range kills {
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Second))))
		pid := testenv.PID(h.port)
		begin := time.Now()
		syscall.Kill(pid, syscall.SIGKILL)
		var nodes []epmd.Node
		var err error
		for {
			if nodes, err = epmd.Names(t.Context(), addr); err == nil && len(answers) == len(backs) {
				answers = append(answers, time.Since(begin))
			}
			if len(nodes) == 3 {
				backs = append(backs, time.Since(begin))
				break
			}
			if time.Since(begin) > 15*time.Second {
				t.Fatalf("after %v: %v, %v\n%s", time.Since(begin), nodes, err, said())
			}
			time.Sleep(time.Millisecond)
		}
	}
	slices.Sort(answers)
	slices.Sort(backs)
	n := len(answers)
	t.Logf("%d kills: NAMES answers after %v (median), %v (most); all three names are back after %v, %v",
		n, answers[n/2], answers[n-1], backs[n/2], backs[n-1])
	limit := 5 * time.Second
	if strings.Contains(said(), "nodes that had lost their names and have them again: ") { // by beamrun
		limit += 5 * time.Second
	}
	if answers[n-1] > 2*time.Second || backs[n-1] > limit {
		t.Error("too late")
	}
	if got := strings.Count(said(), "beamrun: epmd was gone; epmd on "); got == 0 && !strings.Contains(said(), "answers again") {
		t.Errorf("it said %q", said())
	}
}

// What it costs to watch: less than 12 MiB, and than a thousandth of a processor.
func TestWatchCost(t *testing.T) {
	h := newHost(t)
	beamrun, err := builtBeamrun() // as users have it: not this test, nor with the race detector
	if err != nil {
		t.Fatal(err)
	}
	cmd := h.command(beamrun, "--watch", "erl", "-sname", "a", "-noinput")
	h.node("a", cmd)
	time.Sleep(time.Second)
	cpu := func() (sum time.Duration) {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", cmd.Process.Pid))
		for _, path := range tasks {
			text, _ := os.ReadFile(path)
			ns, _ := strconv.ParseInt(strings.Fields(string(text) + " 0")[0], 10, 64)
			sum += time.Duration(ns)
		}
		return sum
	}
	// the least of some: on a busy machine all caches are cold
	var shares []float64
	for len(shares) == 0 || slices.Min(shares) > 0.1 && len(shares) < 5 {
		before, begin := cpu(), time.Now()
		time.Sleep(4 * time.Second) // five looks
		shares = append(shares, 100*float64(cpu()-before)/float64(time.Since(begin)))
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rss + " ?")[0])
	t.Logf("%.3f %% of a processor, %d KiB", shares, kb)
	if slices.Min(shares) == 0 || slices.Min(shares) > 0.1 || err != nil || kb > 12<<10 {
		t.Errorf("too much: %v, %d KiB, %v", shares, kb, err)
	}
}

// On a terminal, under a shell with job control: Ctrl-C, Ctrl-Z and fg, and the window's size are
// the program's own.
func TestWatchOnATerminal(t *testing.T) {
	h := newHost(t)
	cmd := h.command("bash", "--norc", "--noprofile", "-i")
	cmd.Env = append(cmd.Env, "PS1=shell$ ")
	s := onTerminal(t, cmd)
	s.expect(`shell\$`)
	s.send("beamrun --watch iex --sname host\r")
	s.expect(`\)1>`)
	s.send("1 + 41\r")
	s.expect(`42`)

	pty.Setsize(s.File, &pty.Winsize{Rows: 30, Cols: 101})
	s.send("IO.puts(\"columns: #{elem(:io.columns(), 1)}\")\r")
	s.expect(`columns: 101`)

	s.send("\x1a")
	s.expect(`Stopped[^\n]*beamrun --watch iex`)
	s.expect(`shell\$`)
	s.send("echo $((20 + 3))\r")
	s.expect(`23`)
	for _, state := range states(t, cmd.Process.Pid) {
		if state != "T" {
			t.Errorf("a process of the job is in state %s", state)
		}
	}
	s.send("fg\r")
	s.expect(`beamrun --watch iex`)
	s.send("2 * 21\r")
	s.expect(`42`)

	s.send("\x03")
	s.expect(`\(v\)ersion`)
	s.send("c\r")
	s.send("30 + 3\r")
	s.expect(`33`)
	s.send("\x03")
	s.expect(`\(v\)ersion`)
	s.send("a\r")
	s.expect(`shell\$`)
	s.send("echo left with $?\r")
	s.expect(`left with \d+`)

	// one Ctrl-C is one: that which beamrun gets too is not passed on
	s.send("beamrun --watch countinterrupts\r")
	s.expect(`ready`)
	s.send("\x03")
	s.expect(`interrupts: 1\r`)
	s.expect(`shell\$`)
	s.send("exit\r")
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func init() { testCommands["countinterrupts"] = countInterrupts }

// countInterrupts is a program that counts SIGINTs, from the first for a while.
func countInterrupts() {
	interrupts := make(chan os.Signal, 10)
	signal.Notify(interrupts, os.Interrupt)
	fmt.Println("ready")
	<-interrupts
	time.Sleep(300 * time.Millisecond)
	fmt.Printf("interrupts: %d\n", 1+len(interrupts))
}

// states are those of the processes below pid.
func states(t *testing.T, pid int) (states []string) {
	t.Helper()
	out, err := exec.Command("ps", "-o", "pid=,stat=,tpgid=,args=", "--ppid", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		child, _ := strconv.Atoi(f[0])
		states = append(states, f[1][:1])
		below, _ := exec.Command("ps", "-o", "stat=", "--ppid", strconv.Itoa(child)).Output()
		for line := range strings.Lines(string(below)) {
			if !strings.Contains(line, "s") { // not of the job: erl_child_setup and epmd have a session of their own
				states = append(states, line[:1])
			}
		}
	}
	return states
}
