//go:build unix && !noexec

package launcher

import "syscall"

// CanExec reports whether [Exec] works here.
const CanExec = true

func execve(path string, args, env []string) error { return syscall.Exec(path, args, env) }
