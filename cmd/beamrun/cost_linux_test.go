package main

import (
	"bytes"
	"context"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// What a `beamrun ensure` may cost when an epmd answers. These are counts, which do not depend on
// how busy or how quick the machine is, each a little above what it was when the line was last
// touched.
//
// When a test here fails, first find what is new: perf record -e page-faults -g,
// GODEBUG=inittrace=1, valgrind --tool=callgrind and strace -f of that command show it. If it is
// worth its price, raise the line to what was measured and a tenth, and say why in the commit. Then
// measure with .ci/bench what it makes of the ratios, and fix the README's table. With another Go
// or on another machine the counts are reported and not judged: a new Go is measured anew, and
// goOfCounts raised.
const (
	goOfCounts = "go1.26"

	mostInstructions = 470_000 // in user space, the runtime's too: 426,000 to 434,000 with Go 1.26
	mostInits        = 48      // packages with an init: 43
	mostInitAllocs   = 140     // allocations of all of them: 125
	mostPackages     = 154     // linked into the program: 152
	mostOfLibrary    = 135     // linked with package ensure: 128
)

// warmCalls are the system calls from the end of Go's own start on, in this order, and no others.
var warmCalls = []struct{ name, why string }{
	{"socket", "TCP, to 127.0.0.1; close-on-exec"},
	{"setsockopt", "SO_SNDTIMEO: connect waits 20 ms at a time, then the context is looked at"},
	{"setsockopt", "SO_RCVTIMEO: so does read"},
	{"connect", "to the address that nodes use; no name is looked up, so DNS is not asked"},
	{"sendto", "NAMES_REQ, 3 bytes; MSG_NOSIGNAL, or a reset would be the end by SIGPIPE"},
	{"read", "epmd's port, 4 bytes, which prove that it is one (and the names, if there are any)"},
	{"read", "the end: epmd logs a client that goes before it"},
	{"close", "the socket: as a package, the process lives on"},
	{"write", "the line of the result"},
	{"exit_group", "exit code 0"},
}

// the runtime's own, at any moment and on any thread
var runtimeCalls = []string{"futex", "nanosleep", "sched_yield", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigaction", "sigaltstack", "gettid", "getpid", "tgkill", "mmap", "madvise", "munmap",
	"clone", "clone3", "epoll_pwait", "prctl", "set_robust_list", "rseq"}

// warmHost has an epmd that answers, and an environment that is the same everywhere.
func warmHost(t *testing.T, tool string) (run func(tool string, args ...string) string) {
	t.Helper()
	testenv.Need(t, "epmd", tool)
	beamrun, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	home, port := t.TempDir(), testenv.Port(t)
	run = func(tool string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args = append(args, beamrun, "ensure")
		cmd := exec.CommandContext(ctx, tool, args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home,
			"ERL_EPMD_PORT=" + strconv.Itoa(int(port)), "BEAMRUN_DETACH=session"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %q: %v: %s", tool, args, err, out)
		}
		return string(out)
	}
	run("env")
	return run
}

// judge is for a count that is too high.
func judge(t *testing.T, format string, args ...any) {
	t.Helper()
	if !strings.HasPrefix(runtime.Version(), goOfCounts) || runtime.GOARCH != "amd64" {
		t.Logf("not judged with "+runtime.Version()+" on "+runtime.GOARCH+": "+format, args...)
		return
	}
	t.Errorf(format, args...)
}

func TestWarmSystemCalls(t *testing.T) {
	run := warmHost(t, "strace")
	dir := t.TempDir()
	// a file for each thread, its lines whole and with the time
	run("strace", "-ff", "-ttt", "-o", filepath.Join(dir, "log"))
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var lines, got, want []string
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(text), "\n")...)
	}
	slices.Sort(lines)
	call := regexp.MustCompile(`^[0-9.]+ (\w+)\(.* = (\?|\S+(?: \w+)?)`)
	tryAgain := regexp.MustCompile(`-1 (EAGAIN|EINTR|EINPROGRESS|EALREADY)`) // on a busy machine
	started := false
	for _, line := range lines {
		m := call.FindStringSubmatch(line)
		if m == nil || slices.Contains(runtimeCalls, m[1]) || tryAgain.MatchString(m[2]) {
			continue
		}
		if started {
			got = append(got, m[1])
		}
		// the last of Go's own start: package os, of stderr
		started = started || strings.Contains(line, "fcntl(2, F_GETFL")
		if m[1] == "exit_group" {
			break // strace may have it once more, of another thread
		}
	}
	for _, c := range warmCalls {
		want = append(want, c.name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("system calls\n%s\nwant\n%s\nof\n%s", strings.Join(got, " "),
			strings.Join(want, " "), strings.Join(lines[max(0, len(lines)-60):], "\n"))
	}
}

func TestWarmInstructions(t *testing.T) {
	run := warmHost(t, "valgrind")
	least := math.MaxInt
	for range 20 { // where it takes longer, the runtime's monitor wakes more often
		// without the signals of the runtime, on one of which valgrind 3.19 may fail
		out := run("env", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1",
			"valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
		m := regexp.MustCompile(`Collected : (\d+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatal(out)
		}
		count, _ := strconv.Atoi(m[1])
		if least = min(least, count); least <= mostInstructions {
			t.Log(count, "instructions")
			return
		}
	}
	judge(t, "%d instructions, at most %d were expected", least, mostInstructions)
}

// No package of ours does a thing before main, and those that it uses no more than they did.
func TestInits(t *testing.T) {
	run := warmHost(t, "env")
	out := run("env", "GODEBUG=inittrace=1")
	inits, allocs := 0, 0
	for line := range strings.Lines(out) {
		// init PACKAGE @0.5 ms, 0.01 ms clock, 768 bytes, 5 allocs
		f := strings.Fields(line)
		if len(f) != 11 || f[0] != "init" {
			continue
		}
		n, err := strconv.Atoi(f[9])
		if err != nil {
			t.Fatal(line)
		}
		inits, allocs = inits+1, allocs+n
		if f[1] == "main" || strings.HasPrefix(f[1], "github.com/") {
			t.Errorf("package %s has an init", f[1])
		}
	}
	t.Log(inits, "packages with an init,", allocs, "allocations")
	if inits == 0 || inits > mostInits || allocs > mostInitAllocs {
		judge(t, "%d packages with an init and %d allocations, at most %d and %d were expected: %s",
			inits, allocs, mostInits, mostInitAllocs, out)
	}
}

func TestLinkedPackages(t *testing.T) {
	for pkg, most := range map[string]int{".": mostPackages, "../../ensure": mostOfLibrary} {
		cmd := exec.Command("go", "list", "-deps", pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(out, []byte("\n"))
		t.Log(pkg, n, "packages")
		if n > most {
			judge(t, "%s links %d packages, at most %d were expected: %s", pkg, n, most, out)
		}
	}
}
