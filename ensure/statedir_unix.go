//go:build unix

package ensure

import (
	"io/fs"
	"os"
	"syscall"
)

// openSafely makes opening a symlink fail, and opening a pipe return at once.
const openSafely = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

func ownedByUs(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm() == 0o700 }
