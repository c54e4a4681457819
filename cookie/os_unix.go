//go:build unix

package cookie

import (
	"io/fs"
	"os"
	"syscall"
)

// nonblock keeps an open from waiting at a pipe.
const nonblock = syscall.O_NONBLOCK

func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }

func replace(from, to string) error { return os.Rename(from, to) }

// keepOwner gives f to the owner of old, if there is one.
func keepOwner(f *os.File, old fs.FileInfo) error {
	if old == nil || isMine(old) {
		return nil
	}
	return f.Chown(owner(old))
}

func isMine(info fs.FileInfo) bool {
	uid, _ := owner(info)
	return uid == os.Geteuid()
}

func owner(info fs.FileInfo) (uid, gid int) {
	stat := info.Sys().(*syscall.Stat_t)
	return int(stat.Uid), int(stat.Gid)
}
