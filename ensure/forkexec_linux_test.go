package ensure

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Both ways to fork give the child its three descriptors only; the second is that of older kernels and other systems.
func TestForkExec(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	const high = 1500
	before := inherited() // it may be so already, by whoever runs this test
	if err := unix.Dup3(int(w.Fd()), high, 0); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(high)
	if !inherited() {
		t.Errorf("descriptor %d is not seen", high)
	}
	unix.CloseOnExec(high)
	if inherited() != before {
		t.Errorf("descriptor %d counts although it is marked", high)
	}
	if _, err := unix.FcntlInt(high, unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}

	for name, fork := range map[string]func(string, []string, *syscall.ProcAttr) (int, error){
		"close_range": forkExec,
		"marked":      forkExecMarked,
	} {
		t.Run(name, func(t *testing.T) {
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			pid, err := fork("/bin/sh", []string{"sh", "-c", "cd /proc/$$/fd && echo *"},
				&syscall.ProcAttr{Files: []uintptr{0, out.Fd(), out.Fd()}})
			if err != nil {
				t.Fatal(err)
			}
			var status syscall.WaitStatus
			if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status != 0 {
				t.Fatal(status, err)
			}
			text, _ := os.ReadFile(out.Name())
			// 3 is the folder that the shell reads
			if got := strings.TrimSpace(string(text)); got != "0 1 2 3" {
				t.Errorf("the child has the descriptors %s", got)
			}
			if flags, err := unix.FcntlInt(high, unix.F_GETFD, 0); err != nil || flags != 0 {
				t.Errorf("descriptor %d afterwards: flags %d, %v", high, flags, err)
			}
		})
	}
	if _, err := forkExec("/nonexistent", nil, &syscall.ProcAttr{}); err != syscall.ENOENT {
		t.Errorf("no such program: %v", err)
	}
}

// The main thread is the one that would outlive its goroutine, with a copy of every descriptor.
func TestOwnThreadIsNotTheMainThread(t *testing.T) {
	for range 2000 {
		onOwnThread(func() {
			if unix.Gettid() == unix.Getpid() {
				t.Error("it runs on the main thread")
			}
		})
	}
}
