package cookie

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/shell"
)

// fileName is the name of the file that every Erlang node reads, and makes when it is missing.
const fileName = ".erlang.cookie"

// Mode is that of the cookie files that Erlang makes, and that this package makes.
const Mode fs.FileMode = 0o400

// maxFile is how many bytes of a cookie file are read at most. Erlang takes line ends behind the
// cookie however many they are; here a file that another program fills must not fill the memory
// too.
const maxFile = 1 << 20

// ErrOtherUser is the error, wrapped in a *[FileError], for root and a file that another user can
// change: it is that user's, or in a directory of theirs, or the path leads through one. Root
// neither reads nor makes nor replaces such a file, for by the time it does, the path may lead to
// /etc/shadow.
var ErrOtherUser = errors.New("another user can change it, and root touches no such file")

// FileError is a cookie file that cannot be used, or made.
type FileError struct {
	Path string
	Err  error
	Hint string // what helps: a command for a shell, or words; may be empty

	command shell.Command // the hint, where it is one
	rotates bool          // that command puts a new cookie into the file
}

func (e *FileError) Error() string {
	if e.Hint == "" {
		return e.Message()
	}
	return e.Message() + "; hint: " + e.Hint
}

// Message is the error without its hint.
func (e *FileError) Message() string { return fmt.Sprintf("cookie file %s: %v", e.Path, e.Err) }

func (e *FileError) Unwrap() error { return e.Err }

// Command is the hint where it is a command, "" where it is words.
func (e *FileError) Command() string {
	if command := e.command.String(); command == e.Hint {
		return command
	}
	return ""
}

// Rotates reports whether [FileError.Command] puts a new cookie into the file. Nodes that run have
// another one then, so those that start afterwards cannot reach them.
func (e *FileError) Rotates() bool { return e.rotates && e.Command() != "" }

// fail is the error for the file at path.
func fail(path string, err error, h hint) error {
	e := &FileError{Path: path, Err: cause(err), Hint: h.words, command: h.command, rotates: h.rotates}
	if !h.command.IsZero() {
		e.Hint = h.command.String()
	}
	return e
}

// DefaultPath returns the file from which a plain erl or iex of this user reads its cookie:
// ~/.erlang.cookie, or, where that is missing and this one is not, erlang/.erlang.cookie in the
// user's configuration directory (OTP 25 and later look there: $XDG_CONFIG_HOME, else ~/.config;
// ~/Library/Application Support; %AppData%). A link to nothing is missing; what cannot be looked at
// counts as present.
func DefaultPath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cookie: no home directory to keep it in: %w", err)
	}
	return PathIn(home, configDir()), nil
}

// PathIn is DefaultPath for another home and configuration directory; the latter may be empty.
func PathIn(home, config string) string {
	path := filepath.Join(home, fileName)
	if config != "" && isMissing(path) {
		if other := filepath.Join(config, "erlang", fileName); !isMissing(other) {
			return other
		}
	}
	return path
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
	if os.Geteuid() == 0 { // stat(2) may never return in a file system that another user serves (FUSE)
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

// Load reads a cookie file as Erlang does (auth.erl): a regular file (a link to one is fine) that
// group and others have no right to, holding one line of printable ASCII; line ends and spaces
// after it do not count. Unlike Erlang it reads none of more than 1 MiB, and for root none that
// another user can change, see [ErrOtherUser]. It never waits for a file. The error is a
// *[FileError].
func Load(path string) (string, error) {
	f, info, err := open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return read(f, info.Size(), path)
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
		open = func(_ string, flags int, _ fs.FileMode) (*os.File, error) { return found.Open(flags) }
	}
	info, err := look()
	switch {
	case errors.As(err, new(*FileError)):
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
		err = fail(path, err, hint{})
	} else {
		err = attributes(path, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// find follows path; for root only where nobody else can change what it leads to. Where no more
// than the file is missing there is no error. The error is a *[FileError] if another user can
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
		return &otherUserError{fmt.Sprintf(format, args...) + ", and root touches no file that another user can change"}
	}
	what := "it"
	if unsafe.At != path {
		what = unsafe.At
	}
	switch {
	case unsafe.Shared:
		return fail(path, words("%s is in a directory where every user can make files", what),
			hint{words: "name a file in a directory that only root can write to"})
	case unsafe.Owner == 0:
		info, err := os.Lstat(unsafe.At) // in a directory of root's alone
		if err == nil && info.Mode().IsRegular() {
			return attributes(path, info)
		}
		return fail(path, words("%s %s", what, unsafe.Why), hint{words: "take that right from them, or name another file"})
	case isHomeOfOther(path):
		return fail(path, words("%s belongs to uid %d", what, unsafe.Owner),
			hint{words: fmt.Sprintf("HOME is another user's: sudo -H gives root its own; or run beamrun as that user, sudo -H -u '#%d'", unsafe.Owner)})
	}
	return fail(path, words("%s belongs to uid %d", what, unsafe.Owner),
		hint{words: fmt.Sprintf("run beamrun as that user, sudo -H -u '#%d', or name a file of root's", unsafe.Owner)})
}

// isHomeOfOther reports whether path is in a home directory that another user can change, as sudo
// -E leaves it.
func isHomeOfOther(path string) bool {
	home := filepath.Clean(os.Getenv("HOME"))
	return strings.HasPrefix(path, home+"/") && errors.As(safepath.Check(home, 0), new(*safepath.Error))
}

// otherUserError is ErrOtherUser with its own words.
type otherUserError struct{ words string }

func (e *otherUserError) Error() string { return e.words }
func (e *otherUserError) Unwrap() error { return ErrOtherUser }

// attributes is auth.erl's check_attributes. For root the file has to be root's, too.
func attributes(path string, info fs.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return fail(path, irregular(info), moveHint(path, info))
	case os.Geteuid() == 0 && !isMine(info):
		return untrusted(path, &safepath.Error{At: path, Owner: owner(info)})
	case !isPrivate(info):
		return fail(path, fmt.Errorf("others may read or write it (mode %#o), so Erlang refuses it", info.Mode().Perm()), privateHint(path, info))
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

// cause takes off what a FileError says itself: the path, or this package's name.
func cause(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
