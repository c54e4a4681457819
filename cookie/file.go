package cookie

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fileName is the name of the file that every Erlang node reads, and makes when it is missing.
const fileName = ".erlang.cookie"

// Mode is that of the cookie files that Erlang makes, and that this package makes.
const Mode fs.FileMode = 0o400

// FileError is a cookie file that cannot be used, or made.
type FileError struct {
	Path string
	Err  error
	Hint string // the command that mends it, for a shell, or words where none does; may be empty
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
	for _, begin := range []string{"the file ", "folder ", "name a file "} {
		if strings.HasPrefix(e.Hint, begin) {
			return ""
		}
	}
	return e.Hint
}

// DefaultPath returns the file from which a plain erl or iex of this user reads its cookie: ~/.erlang.cookie, or,
// where that is missing and this one is not, erlang/.erlang.cookie in the user's configuration folder (OTP 25 and
// later look there: $XDG_CONFIG_HOME, else ~/.config; ~/Library/Application Support; %AppData%). A link to nothing is
// missing; one of which nobody can tell is there.
func DefaultPath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cookie: no home folder to keep it in: %w", err)
	}
	return PathIn(home, configDir()), nil
}

// PathIn is DefaultPath for another home and configuration folder; the latter may be empty.
func PathIn(home, config string) string {
	path := filepath.Join(home, fileName)
	if config != "" && isMissing(path) {
		if other := filepath.Join(config, "erlang", fileName); !isMissing(other) {
			return other
		}
	}
	return path
}

// configDir is the user's configuration folder. Erlang takes a relative one too, which os does not.
func configDir() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return os.Getenv("XDG_CONFIG_HOME")
	}
	return dir
}

func isMissing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// Load reads a cookie file as Erlang does (auth.erl): a regular file (a link to one is fine) that group and others have
// no right to, holding one line of printable ASCII; line ends and spaces after it do not count, however many they are.
// The error is a *[FileError].
func Load(path string) (string, error) {
	fail := func(err error, hint string) (string, error) { return "", &FileError{path, cause(err), hint} }
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fail(err, missingHint(path))
	}
	if err != nil {
		return fail(err, reachHint(path, err))
	}
	// before it is opened: that would wait at a pipe, and may set off a device
	if hint, err := attributes(path, info); err != nil {
		return fail(err, hint)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return fail(err, privateHint(path, info))
	}
	defer f.Close()
	// and again: it may be another file by now
	if info, err = f.Stat(); err != nil {
		return fail(err, "")
	}
	if hint, err := attributes(path, info); err != nil {
		return fail(err, hint)
	}
	// Erlang reads as much as the file says it has: nothing from most files of /proc.
	c, err := parse(io.LimitReader(f, info.Size()))
	if errors.As(err, new(*textError)) {
		return fail(err, textHint(path, err))
	}
	if err != nil {
		return fail(err, "")
	}
	return c, nil
}

// attributes is auth.erl's check_attributes, with the command that mends.
func attributes(path string, info fs.FileInfo) (hint string, err error) {
	switch {
	case !info.Mode().IsRegular():
		return moveHint(path, info), irregular(info)
	case !isPrivate(info):
		return privateHint(path, info), fmt.Errorf("others may read or write it (mode %#o), so Erlang refuses it", info.Mode().Perm())
	}
	return "", nil
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
