//go:build unix

package ensure

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

// spawn starts a program that shall outlive us: in a session of its own, so that no signal of our terminal or process
// group reaches it; in the root folder, so that it keeps no file system busy; with none of our descriptors, so that
// whoever waits for the end of our pipes (CI, ssh) does not wait for the daemon's.
func spawn(path string, args, env []string, stderr *os.File) (*process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	pid, err := forkExec(path, args, &syscall.ProcAttr{
		Dir:   "/",
		Env:   env,
		Files: []uintptr{null.Fd(), null.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: path, Err: err}
	}
	p := &process{pid: pid, exited: make(chan struct{})}
	go p.wait()
	return p, nil
}

// wait reaps the daemon. (Not os.Process: it would keep a descriptor, the pidfd, open for as long as epmd runs.)
func (p *process) wait() {
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.pid, &status, 0, nil)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(p.pid, &status, 0, nil)
	}
	switch {
	case err != nil:
		p.status = "an unknown status (" + err.Error() + ")"
	case status.Signaled():
		p.status = "signal " + status.Signal().String()
	default:
		p.ok = status.ExitStatus() == 0
		p.status = "status " + strconv.Itoa(status.ExitStatus())
	}
	close(p.exited)
}

// kill ends the program and what it started in its session's first process group, and sees it gone.
func (p *process) kill() {
	syscall.Kill(-p.pid, syscall.SIGKILL)
	select {
	case <-p.exited:
	case <-time.After(time.Second): // it hangs in the kernel
	}
}
