package cookie

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// SecretVar is the environment variable with the secret of a derive:LABEL source. Whoever has the
// secret can derive the cookie of every label: package launcher passes it on to no program.
const SecretVar = "BEAMRUN_SECRET"

// ErrSource says that a text names no source. The text is not part of the message: it may be a
// cookie.
var ErrSource = errors.New("a cookie's source is user, fresh, file:PATH, env:NAME or derive:LABEL")

// Source says where a cookie comes from.
type Source struct{ kind, arg string }

// User is the source of every plain erl and iex: the file at [DefaultPath], made when it is
// missing. A program reads it by itself.
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

// Path returns the cookie file of a user or file source; for any other source the error says that
// it has none.
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
		c, err := variable(s.arg, "")
		if err == nil {
			err = check(c)
		}
		if err != nil && !errors.As(err, new(*SourceError)) {
			err = &SourceError{Err: fmt.Errorf("environment variable %s: %w", s.arg, err)}
		}
		if err != nil {
			return "", err
		}
		return c, nil
	case "derive":
		secret, err := variable(SecretVar, secretHint)
		if err != nil {
			return "", err
		}
		return Derive([]byte(secret), s.arg)
	}
	return "", ErrSource
}

// SourceError is a source that gives no cookie, for the environment variable that it names is not
// set, or holds none.
type SourceError struct {
	Err  error
	Hint string // what helps, in words; may be empty
}

// Message is the error without its hint.
func (e *SourceError) Message() string { return "cookie: " + e.Err.Error() }

func (e *SourceError) Error() string {
	if e.Hint == "" {
		return e.Message()
	}
	return e.Message() + "; hint: " + e.Hint
}

func (e *SourceError) Unwrap() error { return e.Err }

// secretHint keeps the new secret off every command line and out of the shell's history.
const secretHint = `make one, the same for every host of a cluster: export ` + SecretVar +
	`="$(openssl rand -hex 32)", or from: beamrun cookie new`

// variable returns an environment variable that has to be set, and not to nothing.
func variable(key, hint string) (string, error) {
	value, set := os.LookupEnv(key)
	switch {
	case !set:
		return "", &SourceError{fmt.Errorf("environment variable %s is not set", key), hint}
	case value == "":
		return "", &SourceError{fmt.Errorf("environment variable %s must not be empty", key), hint}
	}
	return value, nil
}
