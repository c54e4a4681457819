//go:build unix

package spawn

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The child gets its three descriptors and no other, and this process keeps what it has, marked as
// before.
func TestForkExec(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	before := lastInherited() // there may be some already, by whoever runs this test
	high, err := unix.FcntlInt(w.Fd(), unix.F_DUPFD, 1500)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	if got := lastInherited(); got != high {
		t.Errorf("descriptor %d is not seen, but %d", high, got)
	}
	unix.CloseOnExec(high)
	if got := lastInherited(); got != before {
		t.Errorf("descriptor %d counts although descriptor %d is marked", got, high)
	}
	if _, err := unix.FcntlInt(uintptr(high), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	pid, err := forkExec("/bin/sh", []string{"sh", "-c", "cd /dev/fd/ && echo *"}, &syscall.ProcAttr{Files: []uintptr{0, out.Fd(), out.Fd()}})
	if err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status != 0 {
		t.Fatal(status, err)
	}
	text, _ := os.ReadFile(out.Name())
	// 3 is the directory that the shell reads
	if got := strings.TrimSpace(string(text)); got != "0 1 2 3" {
		t.Errorf("the child has the descriptors %s", got)
	}
	if flags, err := unix.FcntlInt(uintptr(high), unix.F_GETFD, 0); err != nil || flags != 0 {
		t.Errorf("descriptor %d afterwards: flags %d, %v", high, flags, err)
	}
	if _, err := forkExec("/nonexistent", nil, &syscall.ProcAttr{}); err != syscall.ENOENT {
		t.Errorf("no such program: %v", err)
	}
}
