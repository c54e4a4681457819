//go:build unix

package cookiefile

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// nonblock keeps an open from waiting at a pipe, or for whoever holds a lease.
const nonblock = syscall.O_NONBLOCK

func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }

func isMine(info fs.FileInfo) bool { return owner(info) == os.Geteuid() }

func owner(info fs.FileInfo) (uid int) { return int(info.Sys().(*syscall.Stat_t).Uid) }

// isDescriptor reports whether path is a descriptor of this process, as a shell's <(…) passes
// one: no other user can change what it means, and the kernel alone can follow it.
func isDescriptor(path string) bool {
	number, ok := strings.CutPrefix(path, "/dev/fd/")
	if !ok {
		number, ok = strings.CutPrefix(path, "/proc/self/fd/")
	}
	_, err := strconv.ParseUint(number, 10, 31)
	return ok && err == nil
}
