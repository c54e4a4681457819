package launcher

import (
	"os/exec"
	"runtime"
	"syscall"
)

// dieWithUs makes the child end (SIGKILL) when this process does, as a program would that this
// process had become. What counts for prctl(2)'s PR_SET_PDEATHSIG is the end of the thread that
// started it: so that one is kept until undo.
func dieWithUs(cmd *exec.Cmd) (undo func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	return runtime.UnlockOSThread
}
