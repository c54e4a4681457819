package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/internal/testenv"
)

// faultHost is where one fault happens: a directory that every user can look into, a home in it, an
// epmd port.
type faultHost struct {
	*testing.T
	dir, home string
	port      uint16
	args      []string // flags of beamrun
	env       []string // instead of, or beside, what ensure sets
	uid       int      // the user; 0: the caller's
	limit     time.Duration
	beamrun   func() (string, error)
	row       *faultRow // of the table, where it is not the fault's own
}

func newFaultHost(t *testing.T) *faultHost {
	t.Helper()
	dir, err := os.MkdirTemp("", "beamrun-fault-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &faultHost{T: t, dir: dir, home: filepath.Join(dir, "home"), port: testenv.Port(t),
		limit: 20 * time.Second, beamrun: builtBeamrun}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(h.home, 0o700)); err != nil {
		t.Fatal(err)
	}
	return h
}

// addr is the epmd's address.
func (h *faultHost) addr() string { return fmt.Sprintf("127.0.0.1:%d", h.port) }

// program makes a shell script that takes the place of epmd.
func (h *faultHost) program(body string) {
	h.Helper()
	h.args = append(h.args, "--epmd", h.file("epmd", "#!/bin/sh\n"+body+"\n", 0o755))
}

// file makes a file in the host's directory and returns its path.
func (h *faultHost) file(name, text string, mode fs.FileMode) string {
	h.Helper()
	path := filepath.Join(h.dir, name)
	err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
	if err != nil {
		h.Fatal(err)
	}
	return path
}

// epmd starts a real epmd that is not beamrun's, and returns its pid. It ends with the test.
func (h *faultHost) epmd(args ...string) int {
	h.Helper()
	testenv.Need(h, "epmd")
	cmd := exec.Command("epmd", append([]string{"-port", strconv.Itoa(int(h.port))}, args...)...)
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := ensure.Probe(h.Context(), ensure.Config{Port: h.port}); err == nil {
			return cmd.Process.Pid
		} else if time.Now().After(deadline) {
			h.Fatal(err)
		}
	}
}

// as makes an ordinary user, one without a name, the caller and the owner of the home.
func (h *faultHost) as(uid int) {
	h.Helper()
	h.needRoot()
	if err := os.Chown(h.home, uid, uid); err != nil {
		h.Fatal(err)
	}
	h.uid = uid
}

func (h *faultHost) needRoot() {
	h.Helper()
	if os.Getuid() != 0 {
		testenv.Skip(h.T, "only root can make this fault")
	}
}

// outcome is how a call ended.
type outcome struct {
	code  int
	epmd  bool   // an epmd answers
	state string // started, already running
	report
	warnings []string
	elapsed  time.Duration
}

// ensure calls `beamrun ensure`.
func (h *faultHost) ensure(args ...string) outcome {
	h.Helper()
	return h.outcome(h.command(args...))
}

// command is `beamrun --json ensure` on this host.
func (h *faultHost) command(args ...string) *exec.Cmd {
	h.Helper()
	beamrun, err := h.beamrun()
	if err != nil {
		h.Fatal(err)
	}
	all := append([]string{"--json"}, append(h.args, args...)...)
	return h.wrap(beamrun, append(all, "ensure")...)
}

// launch calls `beamrun --json true`, where its epmd fails.
func (h *faultHost) launch(args ...string) outcome {
	h.Helper()
	cookie := filepath.Join(h.home, ".erlang.cookie") // else beamrun would make one
	h.must(os.WriteFile(cookie, []byte("it is not asked for"), 0o400))
	cmd := h.command(args...)
	cmd.Args[len(cmd.Args)-1] = "true"
	return h.outcome(cmd)
}

// isolated runs a script with sh, in which "$@" is `beamrun --json ensure`, in namespaces of its
// own: its own network without an interface that is up, its own mounts and processes, all of which
// end with it.
func (h *faultHost) isolated(script string) outcome {
	h.Helper()
	h.needRoot()
	testenv.Need(h, "ip")
	cmd := h.command()
	args := []string{"--net", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child",
		"sh", "-euc", script, "sh", cmd.Path}
	return h.outcome(h.wrap("unshare", append(args, cmd.Args[1:]...)...))
}

func (h *faultHost) wrap(name string, args ...string) *exec.Cmd {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), h.limit)
	h.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = h.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "TMPDIR=" + h.home,
		"BEAMRUN_DETACH=session", "ERL_EPMD_PORT=" + strconv.Itoa(int(h.port)),
		"ALICE=" + strconv.Itoa(alice)}, h.env...)
	if h.uid != 0 {
		user := &syscall.Credential{Uid: uint32(h.uid), Gid: uint32(h.uid)}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	}
	return cmd
}

// outcome runs a command that prints what `beamrun --json ensure` prints.
func (h *faultHost) outcome(cmd *exec.Cmd) outcome {
	h.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	files := h.files()
	begin := time.Now()
	err := cmd.Run()
	elapsed := time.Since(begin)
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() < 0 || stderr.Len() > 0 {
		h.Fatalf("%v after %v: %s%s", err, elapsed, &stdout, &stderr)
	}
	if now := h.files(); now != files {
		h.Errorf("the files were\n%sand are\n%s", files, now)
	}
	o := h.read(cmd.ProcessState.ExitCode(), stdout.Bytes())
	o.elapsed = elapsed
	return o
}

// read makes an outcome of an exit code and the object on stdout.
func (h *faultHost) read(code int, stdout []byte) (o outcome) {
	h.Helper()
	var said struct {
		Epmd *struct {
			Started bool
			PID     int
		}
		Warnings []string
		Error    report
	}
	if err := json.Unmarshal(stdout, &said); err != nil {
		h.Fatalf("exit code %d, %v: %q", code, err, stdout)
	}
	o.code, o.report, o.warnings = code, said.Error, said.Warnings
	if o.epmd = said.Epmd != nil; o.epmd {
		if o.state = "already running"; said.Epmd.Started {
			o.state = "started"
		}
	}
	if o.epmd != (o.code == 0) {
		h.Errorf("exit code %d with %s", o.code, stdout)
	}
	return o
}

// call calls the library in this process, for what only a caller in Go can do.
func (h *faultHost) call(ctx context.Context) (o outcome) {
	h.Helper()
	a := &app{}
	if _, err := a.parseCommand(h.args); err != nil {
		h.Fatal(err)
	}
	a.port = h.port
	begin := time.Now()
	res, err := ensure.Epmd(ctx, a.epmd())
	o.elapsed, o.warnings, o.epmd = time.Since(begin), texts(res.Warnings), err == nil
	if err != nil {
		o.report, o.code = describe(err)
	} else if o.state = "already running"; res.Started {
		o.state = "started"
	}
	return o
}

// processes lists what runs on this host: everything that has its home.
func (h *faultHost) processes() (pids []int) {
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		env := testenv.ReadStart(path)
		if bytes.Contains(env, []byte("HOME="+h.home+"\x00")) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// killProcesses ends what runs on this host, but for this process, and waits until it is gone.
func (h *faultHost) killProcesses() {
	h.Helper()
	h.await(func() bool {
		others := slices.DeleteFunc(h.processes(), func(pid int) bool { return pid == os.Getpid() })
		for _, pid := range others {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		return len(others) == 0
	})
}

// files describes every file of the host but the lock and the log.
func (h *faultHost) files() string {
	var all strings.Builder
	filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		name := filepath.Base(path)
		ofBeamrun := strings.HasPrefix(name, "beamrun")
		if path != h.dir && (strings.HasPrefix(name, "epmd-") || ofBeamrun || name == ".cache") {
			if d.IsDir() && ofBeamrun {
				return fs.SkipDir
			}
			return nil
		}
		info, _ := os.Lstat(path)
		var text []byte
		if info.Mode().IsRegular() {
			text, _ = os.ReadFile(path)
		}
		fmt.Fprintln(&all, path, info.Mode(), len(text), string(text[:min(len(text), 200)]))
		return nil
	})
	return all.String()
}

// cells are the outcome as the table shows it, without what differs from run to run.
func (h *faultHost) cells(o outcome) (kind, code, said string) {
	kind, said = "–", o.state
	if !o.epmd {
		if kind, said = o.Kind, o.Message; o.Hint != "" {
			said += "<br>*hint:* " + o.Hint
		}
	}
	for _, w := range o.warnings {
		said += "<br>*warning:* " + w
	}
	self, _ := os.ReadFile("/proc/self/comm")
	said = strings.NewReplacer(
		strings.TrimSpace(string(self))+" (pid", "PROGRAM (pid", h.dir, "DIR",
		strconv.Itoa(int(h.port)), "PORT", "|", "\\|", "\n", " ",
	).Replace(said)
	said = regexp.MustCompile(`(pid|-CONT|-KILL) \d+`).ReplaceAllString(said, "$1 PID")
	date := regexp.MustCompile(`\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}`)
	said = date.ReplaceAllString(said, "DATE")
	said = regexp.MustCompile(`within 3\d\dms`).ReplaceAllString(said, "within 300ms")
	return kind, strconv.Itoa(o.code), said
}

var update = flag.Bool("update", false,
	"write anew what the tests keep: the table of ensure/README.md, docs/api.txt")

const tableFile = "../../ensure/README.md"

// faultTable is the table of that file, its rows by their numbers.
type faultTable struct {
	mu   sync.Mutex
	rows map[string]string
}

var tableRow = regexp.MustCompile(`(?m)^\| (\d+[a-z]?) \|.*\n`)

func readFaultTable(t *testing.T) *faultTable {
	t.Helper()
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	table := &faultTable{rows: map[string]string{}}
	for _, m := range tableRow.FindAllSubmatch(text, -1) {
		table.rows[string(m[1])] = string(m[0])
	}
	return table
}

// check compares an outcome with the fault's row in the table, and looks for processes that are
// left: none but an epmd that was started, and this one.
func (table *faultTable) check(h *faultHost, f faultRow, o outcome) {
	h.Helper()
	kind, code, said := h.cells(o)
	if h.row != nil {
		f = *h.row
	}
	row := fmt.Sprintf("| %s | %s | %s | %s | %s |\n", f.number, f.fault, kind, code, said)
	table.mu.Lock()
	defer table.mu.Unlock()
	if *update {
		table.rows[f.number] = row
	} else if want := table.rows[f.number]; row != want {
		h.Errorf("the table has\n%sbut this is\n%s"+
			"(go test ./cmd/beamrun -run TestFaults -update writes it anew)", want, row)
	}
	expected := func(pid int) bool {
		return pid == os.Getpid() || o.epmd && pid == testenv.PID(h.port)
	}
	var left []int
	deadline := time.Now().Add(2 * time.Second)
	for ; time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		left = slices.DeleteFunc(h.processes(), expected)
		if len(left) == 0 {
			break // one that was killed may need a moment
		}
	}
	if len(left) > 0 {
		h.killProcesses()
		h.Errorf("processes are left: %v", left)
	}
}

// write puts the rows into the file in place of those that are there.
func (table *faultTable) write(t *testing.T) {
	text, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, number := range slices.SortedFunc(maps.Keys(table.rows), byNumber) {
		rows.WriteString(table.rows[number])
	}
	const head, end = "|---|---|---|---|---|\n", "\n<!-- end of the table -->"
	before, _, _ := strings.Cut(string(text), head)
	_, after, _ := strings.Cut(string(text), end)
	updated := before + head + rows.String() + end + after
	if err := os.WriteFile(tableFile, []byte(updated), 0o644); err != nil {
		t.Fatal(err)
	}
}

// byNumber orders 2a before 10.
func byNumber(a, b string) int {
	digits := func(number string) int { return len(strings.TrimRight(number, "abcdefghij")) }
	return cmp.Or(cmp.Compare(digits(a), digits(b)), cmp.Compare(a, b))
}
