//go:build unix

package ensure

import "syscall"

// openSafely makes opening a symlink fail, and opening a pipe return at once.
const openSafely = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
