package cookiefile

import (
	"errors"
	"io/fs"
	"os"

	"github.com/beamrun/beamrun/internal/shell"
)

// ErrOtherUser is the error, wrapped in an *[Error], for root and a file that another user can
// change: it is that user's, or in a directory of theirs, or the path leads through one.
var ErrOtherUser = errors.New("another user can change it")

// Error is a cookie file that cannot be used, or made. Its text does not name the file.
type Error struct {
	Path string
	Err  error
	Fix  Fix
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Fix is what helps against an [Error]. The zero value is nothing.
//
// A command can be pasted into a shell as it is, destroys nothing, and lets the same call succeed.
// For root there are words where another user could change what a command acts on. None of it names
// a command or a flag of beamrun's: whoever shows it adds those.
type Fix struct {
	Command shell.Command
	Words   string // where no command does it

	Rotate bool   // after the command, the file needs a new cookie
	Other  bool   // the cookie can come from elsewhere, too
	Inside string // the path of a cookie file that the words are about
}

// With returns the command, of which rotate puts a new cookie into the file where that is needed.
func (f Fix) With(rotate shell.Command) shell.Command {
	if f.Rotate {
		return both(f.Command, rotate)
	}
	return f.Command
}

// String returns the fix as a text for whoever calls package cookie.
func (f Fix) String() string {
	const rotate = "put a new cookie into it"
	command := f.Command.String()
	switch {
	case f.Rotate && command != "":
		return command + ", then " + rotate
	case f.Rotate:
		return rotate
	case command != "":
		return command
	}
	return f.Words
}

// fail is the error for the file at path.
func fail(path string, err error, fix Fix) error {
	return &Error{Path: path, Err: cause(err), Fix: fix}
}

// cause takes off the path, which the error has already.
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

// otherUserError is ErrOtherUser with its own words.
type otherUserError struct{ words string }

func (e *otherUserError) Error() string { return e.words }
func (e *otherUserError) Unwrap() error { return ErrOtherUser }
