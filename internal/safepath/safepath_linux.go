package safepath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links are followed, as by the kernel; maxPath bounds what a link may add.
const (
	maxLinks = 40
	maxPath  = 4096
)

// Found is what a path leads to: its last element after all links, in a directory that is held open, so that what was looked at is what is
// used.
type Found struct {
	Dir  *os.File // the directory that it is in, opened with O_PATH
	Name string   // its name there; "." if it is the root
	Info unix.Stat_t
	Err  error // why there is nothing: it wraps fs.ErrNotExist; nil: Info is valid
}

// Close closes the directory.
func (f *Found) Close() error { return f.Dir.Close() }

// Open opens what was found, if it still is that file, with the flags of open(2).
func (f *Found) Open(flags int) (*os.File, error) {
	if f.Err != nil {
		return nil, f.Err
	}
	fd, err := unix.Openat(int(f.Dir.Fd()), f.Name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.Name, Err: err}
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Ino != f.Info.Ino || now.Dev != f.Info.Dev {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: f.Name, Err: errors.Join(err, errors.New("it was replaced just now"))}
	}
	return os.NewFile(uintptr(fd), f.Name), nil
}

// Find walks path, element by element, from descriptors. With strict it returns an *[Error] where another user than root and uid can change
// what path leads to; uid 0 is root alone. Where only the last element is missing there is no error but Found.Err.
//
// A root that is not nil is what "/" and ".." end at: the root directory of another process, [os.OpenFile] of /proc/PID/root with O_PATH.
func Find(root *os.File, path string, uid int, strict bool) (*Found, error) {
	if !filepath.IsAbs(path) {
		wd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		path = wd + "/" + path // not Join: a .. behind a link has to stay
	}
	w := walker{path: path, uid: uid, strict: strict}
	defer w.close()
	if err := w.begin(root); err != nil {
		return nil, err
	}
	return w.walk(elements(path))
}

// Check returns an *[Error] if another user than root and uid can change what path leads to, or another error if path leads nowhere.
func Check(path string, uid int) error {
	f, err := Find(nil, path, uid, true)
	if err != nil {
		return err
	}
	f.Close()
	return f.Err
}

func elements(path string) (all []string) {
	for e := range strings.SplitSeq(path, "/") {
		if e != "" && e != "." {
			all = append(all, e)
		}
	}
	return all
}

type walker struct {
	path   string
	uid    int
	strict bool
	dirs   []int    // open directories, from the root down
	names  []string // of the directories below the root
}

func (w *walker) close() {
	for _, fd := range w.dirs {
		unix.Close(fd)
	}
}

func (w *walker) begin(root *os.File) error {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	var fd int
	var err error
	if root == nil {
		fd, err = unix.Open("/", flags, 0)
	} else {
		fd, err = unix.Openat(int(root.Fd()), ".", flags, 0)
	}
	if err != nil {
		return w.failed("open", err)
	}
	w.dirs = append(w.dirs, fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return w.failed("stat", err)
	}
	return w.judge(&st, "/", 0, false)
}

func (w *walker) walk(rest []string) (*Found, error) {
	links := 0
	for {
		if len(rest) == 0 {
			return w.found(".", nil)
		}
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			if last := len(w.dirs) - 1; last > 0 {
				unix.Close(w.dirs[last])
				w.dirs, w.names = w.dirs[:last], w.names[:last-1]
			}
			continue
		}
		dir := w.dirs[len(w.dirs)-1]
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT && len(rest) == 0 {
			return w.found(name, &fs.PathError{Op: "open", Path: w.path, Err: err})
		}
		if err != nil {
			return nil, w.failed("open", err)
		}
		var st unix.Stat_t
		err = unix.Fstat(fd, &st)
		at := "/" + strings.Join(append(w.names[:len(w.names):len(w.names)], name), "/")
		isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
		if err == nil {
			err = w.judge(&st, at, len(w.names)+1, st.Mode&unix.S_IFMT == unix.S_IFLNK)
		}
		switch {
		case err != nil:
			unix.Close(fd)
			return nil, err
		case st.Mode&unix.S_IFMT == unix.S_IFLNK:
			var target [maxPath]byte
			n, err := unix.Readlinkat(fd, "", target[:])
			unix.Close(fd)
			if links++; err == nil && (links > maxLinks || n == maxPath) {
				err = unix.ELOOP
			}
			if err != nil {
				return nil, w.failed("readlink", err)
			}
			to := string(target[:n])
			if strings.HasPrefix(to, "/") {
				for _, fd := range w.dirs[1:] {
					unix.Close(fd)
				}
				w.dirs, w.names = w.dirs[:1], nil
			}
			rest = append(elements(to), rest...)
		case isDir:
			w.dirs, w.names = append(w.dirs, fd), append(w.names, name)
		case len(rest) > 0:
			unix.Close(fd)
			return nil, w.failed("open", unix.ENOTDIR)
		default:
			unix.Close(fd)
			f, err := w.found(name, nil)
			if f != nil {
				f.Info = st
			}
			return f, err
		}
	}
}

// found returns the element of the directory that was reached last, which may be that directory itself.
func (w *walker) found(name string, missing error) (*Found, error) {
	last := len(w.dirs) - 1
	f := &Found{Name: name, Err: missing}
	if name == "." {
		if err := unix.Fstat(w.dirs[last], &f.Info); err != nil {
			return nil, w.failed("stat", err)
		}
		if last > 0 { // as an element of the one above it
			f.Name = w.names[last-1]
			last--
		}
	}
	fd, err := unix.FcntlInt(uintptr(w.dirs[last]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, w.failed("open", err)
	}
	f.Dir = os.NewFile(uintptr(fd), "/"+strings.Join(w.names[:last], "/"))
	return f, nil
}

func (w *walker) failed(op string, err error) error {
	return &fs.PathError{Op: op, Path: w.path, Err: err}
}

// judge returns an error if another user can change what stands there. depth is how far below the root it is.
func (w *walker) judge(st *unix.Stat_t, at string, depth int, isLink bool) error {
	if !w.strict {
		return nil
	}
	owner := int(st.Uid)
	if owner != 0 && owner != w.uid && !(depth <= 1 && isUnmapped(owner)) {
		return &Error{w.path, at, owner, fmt.Sprintf("belongs to uid %d", owner)}
	}
	isSticky := st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0
	if mode := st.Mode & 0o7777; !isLink && !isSticky && mode&0o022 != 0 && st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return &Error{w.path, at, owner, fmt.Sprintf("is writable by others (mode %#o)", mode)}
	}
	return nil
}

// isUnmapped reports whether the owner has no number in this user namespace. That is so of root's directories in a container without
// root, and of any other user's: so it is taken for root only of / and what is in it, which nobody but root can have made.
func isUnmapped(owner int) bool {
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(overflow)) != fmt.Sprint(owner) {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295"
}
