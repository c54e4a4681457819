package spawn

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/windows"
)

// Start starts a program that shall outlive us, without a console and deaf to the Ctrl-C of ours.
// Go hands down only the three standard handles.
func Start(path string, args, env []string, stderr *os.File) (*Process, error) {
	const apart = windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP
	start := func(flags uint32) (*exec.Cmd, error) {
		cmd := &exec.Cmd{
			Path:        path,
			Args:        args,
			Env:         env,
			Dir:         os.Getenv("SystemRoot"),
			Stderr:      stderr,
			SysProcAttr: &windows.SysProcAttr{CreationFlags: apart | flags},
		}
		return cmd, cmd.Start()
	}
	// A launcher's job, which a CI runner or a service makes, would end the daemon with it, and
	// keep epmd.exe from being replaced. Not every job lets a process leave it.
	cmd, err := start(windows.CREATE_BREAKAWAY_FROM_JOB)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		cmd, err = start(0)
	}
	if err != nil {
		return nil, err
	}
	p := &Process{PID: cmd.Process.Pid, Exited: make(chan struct{})}
	go func() {
		cmd.Wait()
		p.Status, p.OK = cmd.ProcessState.String(), cmd.ProcessState.Success()
		close(p.Exited)
	}()
	return p, nil
}

// Kill ends the program and sees it gone.
func (p *Process) Kill() {
	if proc, err := os.FindProcess(p.PID); err == nil {
		proc.Kill()
	}
	select {
	case <-p.Exited:
	case <-time.After(time.Second):
	}
}

// SizeLimit returns how large a file may be that this process writes: Windows has no such limit.
func SizeLimit() int64 { return math.MaxInt64 }
