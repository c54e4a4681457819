package ensure

import (
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/windows"
)

// spawn starts a program that shall outlive us, without a console and deaf to the Ctrl-C of ours. Go hands down only
// the three standard handles.
func spawn(path string, args, env []string, stderr *os.File) (*process, error) {
	cmd := &exec.Cmd{
		Path:   path,
		Args:   args,
		Env:    env,
		Dir:    os.Getenv("SystemRoot"),
		Stderr: stderr,
		SysProcAttr: &windows.SysProcAttr{
			CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP,
		},
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		cmd.Wait()
		p.status = cmd.ProcessState.String()
		close(p.exited)
	}()
	return p, nil
}

// kill ends the program and sees it gone.
func (p *process) kill() {
	if proc, err := os.FindProcess(p.pid); err == nil {
		proc.Kill()
	}
	select {
	case <-p.exited:
	case <-time.After(time.Second):
	}
}
