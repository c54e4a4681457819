//go:build !linux

package safepath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Found is what a path leads to: its last element after all links. Here it is known by its path,
// not by a descriptor.
type Found struct {
	Name   string // the last part of its path
	Shared bool   // other users may make entries in its directory, as in /tmp
	Err    error  // why there is nothing: it wraps fs.ErrNotExist

	path string
	info fs.FileInfo
}

// Find follows path. With strict it returns an *[Error] where another user than root and uid can
// change what path leads to. Where only the last element is missing there is no error but
// Found.Err. root has to be nil.
func Find(root *os.File, path string, uid int, strict bool) (*Found, error) {
	if root != nil {
		return nil, errors.ErrUnsupported
	}
	for range 255 { // more than a system follows; what is no file then is refused by it
		to, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			dir, _ := filepath.Split(path)
			to = dir + to // not Join: a .. after a link must stay
		}
		path = to
	}
	f := &Found{Name: filepath.Base(path), path: path}
	dir, _ := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	above, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	f.Shared = above.Mode().Perm()&0o022 != 0
	what := path
	if f.info, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		f.Err, what = err, dir
	} else if err != nil {
		return nil, err
	}
	if strict {
		if err := Check(what, uid); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Close has nothing to do here.
func (f *Found) Close() error { return nil }

// Path returns the path of what was found, without a link at its end.
func (f *Found) Path() string { return f.path }

// Open opens what was found, with the flags of open(2).
func (f *Found) Open(flags int) (*os.File, error) {
	if f.Err != nil {
		return nil, f.Err
	}
	return os.OpenFile(f.path, flags, 0)
}

// Stat describes what was found.
func (f *Found) Stat() (fs.FileInfo, error) { return f.info, f.Err }

// Create makes a new file beside what was found, to write to. It fails where that name is taken.
func (f *Found) Create(name string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(f.beside(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// Replace renames a file of that directory to what was found, or was missing.
func (f *Found) Replace(name string) error { return os.Rename(f.beside(name), f.path) }

// Link gives a file of that directory a second name, the one that was missing. It fails where
// somebody was faster, with [fs.ErrExist].
func (f *Found) Link(name string) error { return os.Link(f.beside(name), f.path) }

// Remove removes a file of that directory.
func (f *Found) Remove(name string) error { return os.Remove(f.beside(name)) }

func (f *Found) beside(name string) string { return filepath.Join(filepath.Dir(f.path), name) }

// mkdir makes a directory where there is none.
func mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}
