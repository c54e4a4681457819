package cookie

import (
	"errors"

	"github.com/beamrun/beamrun/internal/cookiefile"
)

// ErrOtherUser is the error, wrapped in an *[Error], for root and a file that another user can
// change: it is that user's, or in a directory of theirs, or the path leads through one. Root
// neither reads nor makes nor replaces such a file, for by the time it does, the path may lead to
// /etc/shadow.
var ErrOtherUser = errors.New("another user can change it, and root touches no such file")

// Error is a cookie that is not to be had: its file cannot be used, or made, or its environment
// variable is not set, or holds none.
type Error struct {
	Path string // of the cookie file
	Var  string // the environment variable, instead of a file
	Err  error
	Hint string // what helps: a command for a shell, or words; may be empty
}

// Message is the error without its hint.
func (e *Error) Message() string {
	if e.Var != "" {
		return "cookie: " + e.Err.Error()
	}
	return "cookie file " + e.Path + ": " + e.Err.Error()
}

func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Message()
	}
	return e.Message() + "; hint: " + e.Hint
}

func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is [ErrOtherUser] and that is the cause.
func (e *Error) Is(target error) bool {
	return target == ErrOtherUser && errors.Is(e.Err, cookiefile.ErrOtherUser)
}

// ofFile makes an *[Error] of one about a file.
func ofFile(err error) error {
	var file *cookiefile.Error
	if !errors.As(err, &file) {
		return err
	}
	return &Error{Path: file.Path, Err: file, Hint: file.Fix.String()}
}
