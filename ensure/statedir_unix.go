//go:build unix

package ensure

import (
	"io/fs"
	"syscall"
)

// openSafely makes opening a symlink fail, and opening a pipe return at once.
const openSafely = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm() == 0o700 }
