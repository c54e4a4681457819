//go:build unix

// Package ours tells this user's files from others'.
package ours

import (
	"io/fs"
	"os"
	"syscall"
)

// Is says whether the file is this user's. Windows does not tell: there the folders in question are in the user's profile, which
// other users can't enter.
func Is(info fs.FileInfo) bool { return UID(info) == os.Geteuid() }

// UID is the file's owner, -1 where the system does not say.
func UID(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
