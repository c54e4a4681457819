//go:build unix

package spawn

import (
	"math"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Start starts a program that shall outlive us: in a session of its own, so that no signal of our
// terminal or process group reaches it; in the root directory, so that it keeps no file system
// busy; with none of our descriptors, so that whoever waits for the end of our pipes (CI, ssh) does
// not wait for the daemon's.
func Start(path string, args, env []string, stderr *os.File) (*Process, error) {
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
	p := &Process{PID: pid, Exited: make(chan struct{})}
	go p.wait()
	return p, nil
}

// wait reaps the daemon. (Not os.Process: it would keep a descriptor, the pidfd, open for as long
// as epmd runs.)
func (p *Process) wait() {
	var status syscall.WaitStatus
	_, err := syscall.Wait4(p.PID, &status, 0, nil)
	for err == syscall.EINTR {
		_, err = syscall.Wait4(p.PID, &status, 0, nil)
	}
	switch {
	case err != nil:
		p.Status = "an unknown status (" + err.Error() + ")"
	case status.Signaled():
		p.Status = "signal " + status.Signal().String()
	default:
		p.OK = status.ExitStatus() == 0
		p.Status = "status " + strconv.Itoa(status.ExitStatus())
	}
	close(p.Exited)
}

// Kill ends the program and what it started in its session's first process group, and sees it gone.
func (p *Process) Kill() {
	syscall.Kill(-p.PID, syscall.SIGKILL)
	select {
	case <-p.Exited:
	case <-time.After(time.Second): // it hangs in the kernel
	}
}

// SizeLimit returns how large a file may be that this process writes (RLIMIT_FSIZE), in bytes.
func SizeLimit() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return math.MaxInt64
	}
	return int64(min(uint64(limit.Cur), math.MaxInt64))
}
