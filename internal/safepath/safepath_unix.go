//go:build unix && !linux

package safepath

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Check returns an *[Error] if another user than root and uid can change what path leads to, or
// another error if path leads nowhere. Here it looks at one path after the other, without
// descriptors.
func Check(path string, uid int) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, p := range []string{path, real} {
		for at := p; ; at = filepath.Dir(at) {
			info, err := os.Lstat(at)
			if err != nil {
				return err
			}
			if why := writable(info, uid); why != "" {
				return &Error{path, at, int(info.Sys().(*syscall.Stat_t).Uid), why, false, false}
			}
			if at == filepath.Dir(at) {
				break
			}
			above, err := os.Lstat(filepath.Dir(at))
			if err != nil {
				return err
			}
			if above.Mode().Perm()&0o022 != 0 && !info.IsDir() && above.Mode()&fs.ModeSymlink == 0 {
				const why = "is in a directory where every user can make files"
				return &Error{path, at, int(info.Sys().(*syscall.Stat_t).Uid), why, true, false}
			}
		}
	}
	return nil
}

func writable(info fs.FileInfo, uid int) string {
	owner, mode := int(info.Sys().(*syscall.Stat_t).Uid), info.Mode()
	switch {
	case owner != 0 && owner != uid:
		return fmt.Sprintf("belongs to uid %d", owner)
	case mode&(fs.ModeSymlink|fs.ModeCharDevice) == 0 && mode.Perm()&0o022 != 0 &&
		!(mode.IsDir() && mode&fs.ModeSticky != 0):
		return fmt.Sprintf("is writable by others (mode %04o)", mode.Perm())
	}
	return ""
}

// Owner returns the uid of what was found.
func (f *Found) Owner() int { return int(f.info.Sys().(*syscall.Stat_t).Uid) }

// MakePrivate makes the directory dir with mode 0700, or makes sure that what stands there is a
// directory, and no link, of uid alone, where nobody but root and uid can change what leads to it.
func MakePrivate(dir string, uid int) error {
	if err := Check(filepath.Dir(dir), uid); err != nil {
		return err
	}
	if err := mkdir(dir); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || int(info.Sys().(*syscall.Stat_t).Uid) != uid ||
		info.Mode().Perm() != 0o700 {
		return notPrivate(dir)
	}
	return nil
}
