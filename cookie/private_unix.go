//go:build unix

package cookie

import "io/fs"

func isPrivate(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 == 0 }
