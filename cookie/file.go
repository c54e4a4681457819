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
	Hint string // the command that mends it; may be empty
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

// DefaultPath returns the file from which a plain erl or iex of this user reads its cookie: ~/.erlang.cookie, or,
// where that is missing and this one is not, erlang/.erlang.cookie in the user's configuration folder (OTP 25 and
// later look there: $XDG_CONFIG_HOME, else ~/.config; ~/Library/Application Support; %AppData%).
func DefaultPath() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("cookie: no home folder to keep it in: %w", err)
	}
	path := filepath.Join(home, fileName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if config, err := os.UserConfigDir(); err == nil {
			other := filepath.Join(config, "erlang", fileName)
			if _, err := os.Lstat(other); err == nil {
				return other, nil
			}
		}
	}
	return path, nil
}

// Load reads a cookie file as Erlang does: a regular file (a link to one is fine) that group and others have no right
// to, holding one line of printable ASCII; line ends and spaces after it do not count. The error is a *[FileError].
func Load(path string) (string, error) {
	fail := func(err error, hint string) (string, error) { return "", &FileError{path, err, hint} }
	info, err := os.Stat(path)
	if err != nil {
		return fail(cause(err), "")
	}
	// before it is opened: a pipe would block
	if !info.Mode().IsRegular() {
		return fail(errors.New("it is no regular file"), "")
	}
	if !isPrivate(info) {
		return fail(fmt.Errorf("others may read or write it (mode %#o), so Erlang refuses it", info.Mode().Perm()), "chmod 400 "+path)
	}
	f, err := os.Open(path)
	if err != nil {
		return fail(cause(err), "")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return fail(cause(err), "")
	}
	// as auth.erl: from the first line end on, only line ends and spaces may follow
	c := string(text)
	if i := strings.IndexAny(c, "\r\n"); i >= 0 && strings.Trim(c[i:], "\r\n ") == "" {
		c = c[:i]
	}
	if err := check(c); err != nil {
		return fail(err, "put a new one there: beamrun --cookie file:"+path+" cookie rotate")
	}
	return c, nil
}

// LoadOrCreate reads the cookie file at path, and makes it with [New] and mode 0400 where there is none. Of any number
// of processes that do so at once, all get the same cookie, and no reader ever sees a part of one. The folder must be
// there. The error is a *[FileError].
func LoadOrCreate(path string) (string, error) {
	c, err := Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return c, err
	}
	// the first link wins, and all others read what it made
	if err := store(path, os.Link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", &FileError{Path: path, Err: cause(err)}
	}
	return Load(path)
}

// Rotate puts a new cookie into the file at path, in one step. Nodes that run keep the cookie that they have, and can
// not be reached by those that start afterwards. The error is a *[FileError].
func Rotate(path string) error {
	if err := store(path, replace); err != nil {
		return &FileError{Path: path, Err: cause(err)}
	}
	return nil
}

// store writes a new cookie beside path, to disk, and lets put move it there.
func store(path string, put func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), fileName+".*.tmp") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(New())
	err = errors.Join(err, f.Chmod(Mode), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return put(f.Name(), path)
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
