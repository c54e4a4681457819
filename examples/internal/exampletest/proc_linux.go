package exampletest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// mark is in the environment of all that is started on the host, daemons too.
func (h *Host) mark() string { return "BEAMRUN_EXAMPLE=" + h.Home }

// processes are those of the host, without its epmd.
func (h *Host) processes() (pids []int) {
	epmd := testenv.PID(h.Port)
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range environs {
		env := testenv.ReadStart(path) // only of our own user, and while it lives
		pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
		vars := bytes.Split(env, []byte{0})
		isMark := func(v []byte) bool { return string(v) == h.mark() }
		if pid != epmd && slices.ContainsFunc(vars, isMark) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Empty waits until nothing runs on the host but epmd. What stays is killed, and fails the test.
func (h *Host) Empty() {
	h.T.Helper()
	pids := h.processes()
	deadline := time.Now().Add(Deadline)
	for ; len(pids) > 0 && time.Now().Before(deadline); pids = h.processes() {
		time.Sleep(10 * time.Millisecond)
	}
	for _, pid := range pids {
		args := testenv.ReadStart(fmt.Sprintf("/proc/%d/cmdline", pid))
		h.T.Errorf("left behind: %d %q", pid, args)
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// Epmd returns the pid of the host's epmd. It has to be the program that is wanted, and one that
// beamrun started (Erlang's own have -daemon), with a session of its own. It has to be a child of
// none of the host's programs. "" means that none may run.
func (h *Host) Epmd(program string) int {
	h.T.Helper()
	pid := testenv.PID(h.Port)
	switch {
	case pid == 0 && program == "":
		return 0
	case pid == 0:
		h.T.Fatal("no epmd")
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	args, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	stat, err3 := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err := errors.Join(err, err2, err3); err != nil {
		h.T.Fatal(err)
	}
	end := fmt.Sprintf("\x00-port\x00%d\x00", h.Port)
	if exe != program || !strings.HasSuffix(string(args), end) {
		h.T.Errorf("the epmd is %s, started as %q; want %s", exe, args, program)
	}
	_, after, _ := bytes.Cut(stat, []byte(") "))
	f := strings.Fields(string(after)) // state, parent, group, session
	parent, _ := strconv.Atoi(f[1])
	if slices.Contains(h.processes(), parent) || f[3] != strconv.Itoa(pid) {
		h.T.Errorf("the epmd %d is a child of %d, in session %s", pid, parent, f[3])
	}
	return pid
}
