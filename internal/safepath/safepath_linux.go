package safepath

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxLinks is how many links are followed, as by the kernel; maxPath bounds what a link may add,
// and maxSteps what a path of many ".." costs.
const (
	maxLinks = 40
	maxPath  = 4096
	maxSteps = 10000
)

// Found is what a path leads to: its last element after all links, in a directory that is held
// open, so that what was looked at is what is used.
type Found struct {
	Dir    *os.File // the directory that it is in, opened with O_PATH
	Name   string   // its name there; "." if it is the root
	Shared bool     // other users may make entries there, as in /tmp
	Info   unix.Stat_t
	Err    error // why there is nothing: it wraps fs.ErrNotExist; nil: Info is valid
}

// Close closes the directory.
func (f *Found) Close() error { return f.Dir.Close() }

// Path returns the path of what was found, without links.
func (f *Found) Path() string { return filepath.Join(f.Dir.Name(), f.Name) }

// Open opens what was found, if it still is that file, with the flags of open(2). With O_NONBLOCK
// it never waits.
func (f *Found) Open(flags int) (*os.File, error) {
	if f.Err != nil {
		return nil, f.Err
	}
	fd, err := openat(int(f.Dir.Fd()), f.Name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: f.Path(), Err: err}
	}
	var now unix.Stat_t
	err = unix.Fstat(fd, &now)
	if err == nil && (now.Ino != f.Info.Ino || now.Dev != f.Info.Dev) {
		err = errReplaced
	}
	if err != nil {
		unix.Close(fd)
		return nil, &fs.PathError{Op: "open", Path: f.Path(), Err: err}
	}
	return os.NewFile(uintptr(fd), f.Path()), nil
}

var errReplaced = errors.New("it was replaced just now")

// Stat describes what was found. It opens nothing: no pipe waits, and no device is set off.
func (f *Found) Stat() (fs.FileInfo, error) {
	file, err := f.Open(unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Stat()
}

// Owner returns the uid of what was found.
func (f *Found) Owner() int { return int(f.Info.Uid) }

// Create makes a new file beside what was found, to write to. It fails where that name is taken.
func (f *Found) Create(name string, mode fs.FileMode) (*os.File, error) {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	path := filepath.Join(f.Dir.Name(), name)
	fd, err := openat(int(f.Dir.Fd()), name, flags, uint32(mode.Perm()))
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Replace renames a file of that directory to what was found, or was missing.
func (f *Found) Replace(name string) error {
	dir := int(f.Dir.Fd())
	return f.failed("rename", unix.Renameat(dir, name, dir, f.Name))
}

// Link gives a file of that directory a second name, the one that was missing. It fails where
// somebody was faster, with [fs.ErrExist].
func (f *Found) Link(name string) error {
	dir := int(f.Dir.Fd())
	return f.failed("link", unix.Linkat(dir, name, dir, f.Name, 0))
}

// Remove removes a file of that directory.
func (f *Found) Remove(name string) error {
	return f.failed("remove", unix.Unlinkat(int(f.Dir.Fd()), name, 0))
}

func (f *Found) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.Path(), Err: err}
}

// openat is openat(2), again when a signal interrupts it, as on a FUSE file system.
func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	for {
		fd, err = unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// MakePrivate makes the directory dir with mode 0700, or makes sure that what stands there is a
// directory, and no link, of uid alone. The one above it has to be there, and nobody but root and
// uid may be able to change what leads to it.
func MakePrivate(dir string, uid int) error {
	st, err := makeDir(dir, uid, 0o700)
	if err == nil && (int(st.Uid) != uid || st.Mode&(unix.S_IFMT|0o777) != unix.S_IFDIR|0o700) {
		err = notPrivate(dir)
	}
	return err
}

// MakeShared is [MakePrivate] for a directory that all may read, and uid alone may change: mode
// 0755, whatever the umask is.
func MakeShared(dir string, uid int) error {
	st, err := makeDir(dir, uid, 0o755)
	if err == nil && (int(st.Uid) != uid || st.Mode&(unix.S_IFMT|0o777) != unix.S_IFDIR|0o755) {
		err = notShared(dir, uid)
	}
	return err
}

// makeDir returns what stands there.
func makeDir(dir string, uid int, mode uint32) (st unix.Stat_t, _ error) {
	above, err := Find(nil, filepath.Dir(dir), uid, true)
	if err != nil {
		return st, err
	}
	defer above.Close()
	in, err := above.Open(unix.O_PATH | unix.O_DIRECTORY)
	if err != nil {
		return st, err
	}
	defer in.Close()
	name := filepath.Base(dir)
	err = unix.Mkdirat(int(in.Fd()), name, mode)
	if err != nil && err != unix.EEXIST {
		return st, &fs.PathError{Op: "mkdir", Path: dir, Err: err}
	}
	made := err == nil
	// also where it was made: in a directory that others can write to, any of them may have been
	// faster to remove it
	if err := unix.Fstatat(int(in.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return st, &fs.PathError{Op: "stat", Path: dir, Err: err}
	}
	if !made || st.Mode&0o777 == mode || int(st.Uid) != uid || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return st, nil
	}
	// the umask took something
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openat(int(in.Fd()), name, flags, 0)
	if err == nil {
		defer unix.Close(fd)
		if err = unix.Fchmod(fd, mode); err == nil {
			err = unix.Fstat(fd, &st)
		}
	}
	if err != nil {
		return st, &fs.PathError{Op: "chmod", Path: dir, Err: err}
	}
	return st, nil
}

// Find walks path, element by element, from descriptors. With strict it returns an *[Error] where
// another user than root and uid can change what path leads to, and looks no further; uid 0 is root
// alone. Where only the last element is missing there is no error but Found.Err. A link of /proc is
// followed by its text, as any other: where that names no file (a pipe, a file of another mount
// namespace) there is nothing.
//
// A root that is not nil is what "/" and ".." end at: the root directory of another process,
// [os.OpenFile] of /proc/PID/root with O_PATH. A relative path is then one of that directory.
func Find(root *os.File, path string, uid int, strict bool) (*Found, error) {
	if path == "" {
		return nil, &fs.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	if !filepath.IsAbs(path) && root == nil {
		wd, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		path = wd + "/" + path // not Join: a .. behind a link has to stay
	}
	w := walker{path: path, uid: uid, strict: strict, root: -1, dir: -1}
	defer w.close()
	if err := w.begin(root); err != nil {
		return nil, err
	}
	return w.walk(elements(path))
}

// Check returns an *[Error] if another user than root and uid can change what path leads to, or
// another error if path leads nowhere.
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

// walker is where a walk is. It holds two directories open at most, so that it works where few
// descriptors are left.
type walker struct {
	path   string
	uid    int
	strict bool

	root, dir  int      // dir is root at the root
	names      []string // of dir, from the root down
	mount      uint64   // that was judged last
	rootShared bool
	shared     bool // others may make entries in dir
	steps      int
}

func (w *walker) close() {
	if w.dir != w.root {
		unix.Close(w.dir)
	}
	if w.root >= 0 {
		unix.Close(w.root)
	}
}

// down goes into a directory of dir's.
func (w *walker) down(name string, fd int, st *unix.Stat_t) {
	if w.dir != w.root {
		unix.Close(w.dir)
	}
	w.dir, w.names, w.shared = fd, append(w.names, name), isShared(fd, st)
}

// restart goes back to the root.
func (w *walker) restart() {
	if w.dir != w.root {
		unix.Close(w.dir)
	}
	w.dir, w.names, w.shared = w.root, nil, w.rootShared
}

// isShared reports whether other users may make entries in the directory.
func isShared(fd int, st *unix.Stat_t) bool { return st.Mode&0o022 != 0 && !isReadOnly(fd) }

// isReadOnly reports whether nobody can make an entry in the directory, as in a volume of
// Kubernetes secrets, which is sticky and for everyone by its mode.
func isReadOnly(fd int) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(fd, &st) == nil && st.Flags&unix.ST_RDONLY != 0
}

// ownRoot is the mount of this process's own "/", once it was judged. Nobody takes it away, while
// the number of another mount may be that of a new one soon.
var ownRoot atomic.Uint64

func (w *walker) begin(root *os.File) error {
	at, path := unix.AT_FDCWD, "/"
	if root != nil {
		at, path = int(root.Fd()), "."
	}
	fd, err := openat(at, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return w.failed("open", err)
	}
	w.root, w.dir = fd, fd
	var st unix.Stat_t
	mount, err := look(fd, &st)
	if err != nil {
		return w.failed("stat", err)
	}
	if root == nil && mount != 0 && mount == ownRoot.Load() {
		w.mount = mount
	}
	if err := w.judgeMount(mount, nil); err != nil {
		return err
	}
	if root == nil && w.strict && w.uid == 0 { // then nobody but root and the kernel serves it
		ownRoot.Store(mount)
	}
	w.rootShared = isShared(fd, &st)
	w.shared = w.rootShared
	return w.judge(&st, nil, false)
}

// look is fstat(2) from what the kernel has cached, for a FUSE file system may never answer; and
// the mount that it is in, 0 if that is not known. What such a file system says of owners and modes
// is its user's claim, see servedBy.
func look(fd int, st *unix.Stat_t) (mount uint64, err error) {
	var x unix.Statx_t
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC,
		unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &x)
	if err == unix.ENOSYS { // before Linux 4.11, or a seccomp filter of that age
		return 0, unix.Fstat(fd, st)
	}
	st.Mode, st.Uid, st.Gid = uint32(x.Mode), x.Uid, x.Gid
	st.Ino, st.Dev = x.Ino, unix.Mkdev(x.Dev_major, x.Dev_minor)
	if x.Mask&unix.STATX_MNT_ID != 0 { // from Linux 5.8 on
		mount = x.Mnt_id
	}
	return mount, err
}

// servedBy returns the user whose program is the file system of a mount (FUSE), and 0 for a file
// system of the kernel's or of root's: see proc_pid_mountinfo(5).
func servedBy(mount uint64) int {
	const most = 32 << 20 // bytes of that table
	fd, err := openat(unix.AT_FDCWD, "/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	f := os.NewFile(uintptr(fd), "mountinfo") // not os.Open, which would have it polled
	defer f.Close()
	id := strconv.FormatUint(mount, 10)
	lines := bufio.NewScanner(io.LimitReader(f, most))
	lines.Buffer(nil, 1<<20) // the directories of an overlay
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		first, _, _ := strings.Cut(before, " ")
		fields := strings.Fields(after) // type, source, options
		if first != id || len(fields) < 3 || !strings.HasPrefix(fields[0], "fuse") {
			continue
		}
		for option := range strings.SplitSeq(fields[2], ",") {
			if text, is := strings.CutPrefix(option, "user_id="); is {
				uid, _ := strconv.Atoi(text)
				return uid
			}
		}
	}
	return 0
}

func (w *walker) walk(rest []string) (*Found, error) {
	links := 0
	for {
		if len(rest) == 0 { // the root itself
			f := &Found{}
			if err := unix.Fstat(w.root, &f.Info); err != nil {
				return nil, w.failed("stat", err)
			}
			return w.found(f, ".")
		}
		if w.steps++; w.steps > maxSteps {
			return nil, w.failed("open", unix.ELOOP)
		}
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			// from the root again, by what is known: the kernel's .. of a directory that is moved
			// meanwhile may lead out of the root
			up := w.names[:max(0, len(w.names)-1)]
			rest = append(up[:len(up):len(up)], rest...)
			w.restart()
			continue
		}
		fd, err := openat(w.dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT && len(rest) == 0 {
			return w.found(&Found{Err: w.failed("open", err)}, name)
		}
		if err != nil {
			return nil, w.failed("open", err)
		}
		var st unix.Stat_t
		mount, err := look(fd, &st)
		names := append(w.names[:len(w.names):len(w.names)], name)
		if err != nil {
			err = w.failed("stat", err)
		} else if err = w.judgeMount(mount, names); err == nil {
			err = w.judge(&st, names, w.shared)
		}
		kind := st.Mode & unix.S_IFMT
		switch {
		case err != nil:
			unix.Close(fd)
			return nil, err
		case kind == unix.S_IFLNK:
			to, err := readlink(fd)
			unix.Close(fd)
			if links++; err == nil && links > maxLinks {
				err = unix.ELOOP
			}
			if err != nil {
				return nil, w.failed("readlink", err)
			}
			if strings.HasPrefix(to, "/") {
				w.restart()
			}
			rest = append(elements(to), rest...)
		case len(rest) == 0:
			unix.Close(fd)
			return w.found(&Found{Info: st}, name)
		case kind == unix.S_IFDIR:
			w.down(name, fd, &st)
		default:
			unix.Close(fd)
			return nil, w.failed("open", unix.ENOTDIR)
		}
	}
}

// readlink returns the text of the link that is open.
func readlink(fd int) (string, error) {
	var text [maxPath]byte
	n, err := unix.Readlinkat(fd, "", text[:])
	if n == maxPath {
		err = unix.ENAMETOOLONG
	}
	if err != nil {
		return "", err
	}
	return string(text[:n]), nil
}

// found completes what was found: that name in the directory that was reached.
func (w *walker) found(f *Found, name string) (*Found, error) {
	fd, err := unix.FcntlInt(uintptr(w.dir), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, w.failed("open", err)
	}
	f.Dir = os.NewFile(uintptr(fd), "/"+strings.Join(w.names, "/"))
	f.Name, f.Shared = name, w.shared
	return f, nil
}

func (w *walker) failed(op string, err error) error {
	return &fs.PathError{Op: op, Path: w.path, Err: err}
}

// judgeMount returns an error if what stands there is in a file system that another user serves:
// its owners and modes are what that user likes. A mount that was judged last is not looked up
// again.
func (w *walker) judgeMount(mount uint64, names []string) error {
	if !w.strict || mount == w.mount {
		return nil
	}
	if uid := servedBy(mount); uid != 0 && uid != w.uid {
		why := fmt.Sprintf("is in a file system that uid %d serves (FUSE)", uid)
		return &Error{w.path, "/" + strings.Join(names, "/"), uid, why, false, true}
	}
	w.mount = mount
	return nil
}

// judge returns an error if another user can change what stands there. names are those from the
// root down; inShared: in a directory where other users may make entries.
func (w *walker) judge(st *unix.Stat_t, names []string, inShared bool) error {
	if !w.strict {
		return nil
	}
	owner, kind := int(st.Uid), st.Mode&unix.S_IFMT
	isDir := kind == unix.S_IFDIR
	refuse := func(format string, args ...any) error {
		at, why := "/"+strings.Join(names, "/"), fmt.Sprintf(format, args...)
		return &Error{w.path, at, owner, why, inShared && !isDir, false}
	}
	switch {
	case owner != 0 && owner != w.uid && !(isSystem(names) && isUnmapped(owner)):
		return refuse("belongs to uid %d", owner)
	case inShared && !isDir:
		// Sticky or not, anyone may have moved root's file there out of a directory of theirs, or
		// linked it.
		return refuse("is in a directory where every user can make files")
	case kind == unix.S_IFLNK: // its mode says nothing
	case isDir && st.Mode&unix.S_ISVTX != 0: // only an entry's owner can change it
	case st.Mode&0o022 != 0 && kind != unix.S_IFCHR:
		return refuse("is writable by others (mode %04o)", st.Mode&0o7777)
	}
	return nil
}

// isSystem reports whether root alone makes what has these names: / and what is in it, all of /usr,
// and what is in /var and /run.
func isSystem(names []string) bool {
	return len(names) <= 1 || names[0] == "usr" ||
		len(names) == 2 && (names[0] == "var" || names[0] == "run")
}

// isUnmapped reports whether the owner has no number in this user namespace. That is so of root's
// directories in a container without root, and of any other user's: so it is taken for root only
// where isSystem.
func isUnmapped(owner int) bool {
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(overflow)) != fmt.Sprint(owner) {
		return false
	}
	ids, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295"
}

func notShared(dir string, uid int) error {
	return fmt.Errorf("%s is not a directory that uid %d alone can change and all can read"+
		" (mode 0755)", dir, uid)
}
