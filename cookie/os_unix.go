//go:build unix

package cookie

import (
	"io/fs"
	"os"
)

func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }

func replace(from, to string) error { return os.Rename(from, to) }
