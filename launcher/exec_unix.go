//go:build unix

package launcher

import (
	"os"
	"syscall"
)

// CanExec says whether [Exec] works here.
const CanExec = true

func execve(path string, args, env []string) error { return syscall.Exec(path, args, env) }

func exitCode(state *os.ProcessState) int {
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
