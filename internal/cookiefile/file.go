// Package cookiefile reads and makes the files in which Erlang keeps its cookie, exactly as Erlang
// does. Package cookie is its public form.
//
// An [Error] of this package never holds a cookie.
package cookiefile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beamrun/beamrun/internal/safepath"
)

// Name is the name of the file that every Erlang node reads, and makes when it is missing.
const Name = ".erlang.cookie"

// Mode is that of the cookie files that Erlang makes.
const Mode fs.FileMode = 0o400

// maxFile is how many bytes of a cookie file are read at most. Erlang takes line ends behind the
// cookie however many they are; here a file that another program fills must not fill the memory
// too.
const maxFile = 1 << 20

// DefaultPath is that of package cookie.
func DefaultPath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cookie: no home directory to keep it in: %w", err)
	}
	path := filepath.Join(home, Name)
	if config := configDir(); config != "" && isMissing(path) {
		if other := filepath.Join(config, "erlang", Name); !isMissing(other) {
			return other, nil
		}
	}
	return path, nil
}

// configDir is the user's configuration directory. Erlang takes a relative one too, which os does
// not.
func configDir() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return os.Getenv("XDG_CONFIG_HOME")
	}
	return dir
}

func isMissing(path string) bool {
	// stat(2) may never return in a file system that another user serves (FUSE)
	if os.Geteuid() == 0 {
		found, err := safepath.Find(nil, path, 0, true)
		if err == nil {
			err = found.Err
			found.Close()
		}
		return errors.Is(err, fs.ErrNotExist)
	}
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Load reads a cookie file as package cookie's Load does. The error is an *[Error].
func Load(path string) (string, error) {
	f, info, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return read(f, info.Size(), path)
}

// Read reads an open cookie file as [Load] does. The path is for the error, which is an *[Error].
func Read(f *os.File, path string) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", fail(path, err, Fix{})
	}
	if err := attributes(path, info); err != nil {
		return "", err
	}
	return read(f, info.Size(), path)
}

// read reads an open file of that size.
func read(f io.Reader, size int64, path string) (string, error) {
	if size > maxFile {
		return "", fail(path, errLarge, textHint(path, errLarge))
	}
	// Erlang reads as much as the file says it has: nothing from most files of /proc.
	c, err := parse(io.LimitReader(f, size))
	switch {
	case errors.As(err, new(*textError)):
		return "", fail(path, err, textHint(path, err))
	case err != nil:
		return "", fail(path, err, Fix{})
	}
	return c, nil
}

// open opens the file that path leads to, if its attributes are a cookie file's.
func open(path string) (*os.File, fs.FileInfo, error) {
	look, open := func() (fs.FileInfo, error) { return os.Stat(path) }, os.OpenFile
	if os.Geteuid() == 0 && !isDescriptor(path) {
		found, err := find(path)
		if err == nil {
			defer found.Close()
			err = found.Err
		}
		look = func() (fs.FileInfo, error) {
			if err != nil {
				return nil, err
			}
			return found.Stat()
		}
		open = func(_ string, flags int, _ fs.FileMode) (*os.File, error) {
			return found.Open(flags)
		}
	}
	info, err := look()
	switch {
	case errors.As(err, new(*Error)):
		return nil, nil, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fail(path, err, missingHint(path))
	case err != nil:
		return nil, nil, fail(path, err, reachHint(path, err))
	}
	// before it is opened: that would wait at a pipe, and may set off a device
	if err := attributes(path, info); err != nil {
		return nil, nil, err
	}
	f, err := open(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, nil, fail(path, err, privateHint(path, info))
	}
	// and again: it may be another file by now
	if info, err = f.Stat(); err != nil {
		err = fail(path, err, Fix{})
	} else {
		err = attributes(path, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// find follows path; for root only where no other user can change what it leads to. Where no more
// than the file is missing there is no error. The error is an *[Error] if another user can
// change it.
func find(path string) (*safepath.Found, error) {
	uid := os.Geteuid()
	found, err := safepath.Find(nil, path, uid, uid == 0)
	if unsafe := new(safepath.Error); errors.As(err, &unsafe) {
		return nil, untrusted(path, unsafe)
	}
	if uid == 0 && err == nil && found.Err != nil && found.Shared {
		found.Close()
		return nil, untrusted(path, &safepath.Error{At: path, Shared: true})
	}
	return found, err
}

// untrusted is the error for root and a file that another user can change. It shows no command but
// for a file of root's own.
func untrusted(path string, unsafe *safepath.Error) error {
	words := func(format string, args ...any) error {
		const so = ", and root touches no file that another user can change"
		return &otherUserError{fmt.Sprintf(format, args...) + so}
	}
	what := "it"
	if unsafe.At != path {
		what = unsafe.At
	}
	switch {
	case unsafe.Shared:
		return fail(path, words("%s is in a directory where every user can make files", what),
			Fix{Words: "name a file in a directory that only root can write to"})
	case unsafe.Owner == 0:
		info, err := os.Lstat(unsafe.At) // in a directory of root's alone
		if err == nil && info.Mode().IsRegular() {
			return attributes(path, info)
		}
		return fail(path, words("%s %s", what, unsafe.Why),
			Fix{Words: "take that right from them, or name another file"})
	case isHomeOfOther(path):
		return fail(path, words("%s belongs to uid %d", what, unsafe.Owner),
			Fix{Words: fmt.Sprintf("HOME is another user's: sudo -H gives root its own;"+
				" or run beamrun as that user, sudo -H -u '#%d'", unsafe.Owner)})
	}
	return fail(path, words("%s belongs to uid %d", what, unsafe.Owner),
		Fix{Words: fmt.Sprintf("run beamrun as that user, sudo -H -u '#%d',"+
			" or name a file of root's", unsafe.Owner)})
}

// isHomeOfOther reports whether path is in a home directory that another user can change, as sudo
// -E leaves it.
func isHomeOfOther(path string) bool {
	home := filepath.Clean(os.Getenv("HOME"))
	return strings.HasPrefix(path, home+"/") &&
		errors.As(safepath.Check(home, 0), new(*safepath.Error))
}

// attributes is auth.erl's check_attributes. For root the file has to be root's, too.
func attributes(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fail(path, irregular(info), moveHint(path, info))
	case os.Geteuid() == 0 && !isMine(info):
		return untrusted(path, &safepath.Error{At: path, Owner: owner(info)})
	case !isPrivate(info):
		err := fmt.Errorf("others may read or write it (mode %#o), so Erlang refuses it",
			info.Mode().Perm())
		return fail(path, err, privateHint(path, info))
	}
	return nil
}

func irregular(info fs.FileInfo) error {
	kind := "device"
	switch info.Mode().Type() {
	case fs.ModeDir:
		kind = "directory"
	case fs.ModeNamedPipe:
		kind = "pipe"
	case fs.ModeSocket:
		kind = "socket"
	}
	return fmt.Errorf("it is a %s, not a regular file", kind)
}
