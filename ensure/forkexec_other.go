//go:build unix && !linux

package ensure

import "syscall"

func forkExec(path string, args []string, attr *syscall.ProcAttr) (int, error) {
	return forkExecMarked(path, args, attr)
}
