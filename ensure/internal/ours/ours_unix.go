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
func Is(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}
