//go:build unix

package locate

import (
	"os/exec"
	"syscall"
)

// killWithChildren makes the context's end kill what the command has started too: a shim may wait
// for another program.
func killWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
