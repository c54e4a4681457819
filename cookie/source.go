package cookie

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// SecretVar is the environment variable with the secret of a derive:LABEL source. Whoever has the secret can derive the cookie of
// every label: package launcher passes it on to no program.
const SecretVar = "BEAMRUN_SECRET"

// ErrSource says that a text names no source. The text is not part of the message: it may be a cookie.
var ErrSource = errors.New("a cookie's source is user, fresh, file:PATH, env:NAME or derive:LABEL")

// Source says where a cookie comes from.
type Source struct{ kind, arg string }

// User is the source of every plain erl and iex: the file at [DefaultPath], made when it is missing. A program reads
// it by itself.
var User = Source{kind: "user"}

// Fresh is the source that gives a new cookie each time.
var Fresh = Source{kind: "fresh"}

// ParseSource reads the text form of a source:
//
//	user          the file at [DefaultPath], made when it is missing
//	fresh         a new cookie, kept nowhere
//	file:PATH     the cookie file at PATH; it must be there
//	env:NAME      the environment variable NAME
//	derive:LABEL  derived for LABEL from the secret in BEAMRUN_SECRET
//
// The error is [ErrSource].
func ParseSource(s string) (Source, error) {
	kind, arg, _ := strings.Cut(s, ":")
	switch kind {
	case "user", "fresh":
		if s == kind {
			return Source{kind, ""}, nil
		}
	case "file", "env", "derive":
		if arg != "" {
			return Source{kind, arg}, nil
		}
	}
	return Source{}, ErrSource
}

// Path returns the cookie file of a user or file source; for any other source the error says that it has none.
func (s Source) Path() (string, error) {
	switch s.kind {
	case "user":
		return DefaultPath()
	case "file":
		return s.arg, nil
	}
	return "", fmt.Errorf("cookie: a source of the kind %s has no file", s.kind)
}

// Cookie returns the cookie that the source names.
func (s Source) Cookie() (string, error) {
	switch s.kind {
	case "user":
		path, err := DefaultPath()
		if err != nil {
			return "", err
		}
		return LoadOrCreate(path)
	case "fresh":
		return New(), nil
	case "file":
		return Load(s.arg)
	case "env":
		c := os.Getenv(s.arg)
		if err := check(c); err != nil {
			return "", fmt.Errorf("cookie: environment variable %s: %w", s.arg, err)
		}
		return c, nil
	case "derive":
		return Derive([]byte(os.Getenv(SecretVar)), s.arg)
	}
	return "", ErrSource
}
