//go:build unix

package safepath

import (
	"io/fs"
	"os"
	"syscall"
)

// IsOwn reports whether the file is this user's.
func IsOwn(info fs.FileInfo) bool { return FileOwner(info) == os.Geteuid() }

// FileOwner returns the number of the user whose file it is, -1 where the system does not say.
func FileOwner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// OpenFlags are flags of open(2) that follow no link, and do not wait for who writes to a pipe.
const OpenFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
