package cookie

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/beamrun/beamrun/internal/cookiefile"
)

// SecretVar is the environment variable with the secret of a derive:LABEL source. Whoever has the
// secret can derive the cookie of every label: package launcher passes it on to no program.
const SecretVar = "BEAMRUN_SECRET"

// ErrSource is the error of a text that names no source. The text is not part of the message: it
// may be a cookie.
var ErrSource = errors.New("a cookie's source is user, fresh, file:PATH, env:NAME or derive:LABEL")

// Source is where a cookie comes from: [User], [Fresh], or one of
//
//	file:PATH     the cookie file at PATH, which must exist
//	env:NAME      the environment variable NAME
//	derive:LABEL  derived for LABEL from the secret in BEAMRUN_SECRET
//
// The zero value means User.
type Source string

const (
	// User is the source of every plain erl and iex: the file at [DefaultPath], made when it is
	// missing. A program reads it by itself.
	User Source = "user"

	// Fresh is a new cookie each time, which is kept nowhere.
	Fresh Source = "fresh"
)

// UnmarshalText reads a source, which must not be empty. The error is [ErrSource].
func (s *Source) UnmarshalText(text []byte) error {
	v := Source(text)
	if _, _, err := v.parts(); err != nil || v == "" {
		return ErrSource
	}
	*s = v
	return nil
}

// parts returns the kind of the source and what follows its colon.
func (s Source) parts() (kind, arg string, err error) {
	kind, arg, _ = strings.Cut(cmp.Or(string(s), string(User)), ":")
	switch Source(kind) {
	case User, Fresh:
		if s == "" || string(s) == kind {
			return kind, "", nil
		}
	case "file", "env", "derive":
		if arg != "" {
			return kind, arg, nil
		}
	}
	return "", "", ErrSource
}

// Path returns the cookie file of a user or file source. Any other source has none, and it is an
// error.
func (s Source) Path() (string, error) {
	kind, arg, err := s.parts()
	switch {
	case err != nil:
		return "", err
	case kind == string(User):
		return DefaultPath()
	case kind == "file":
		return arg, nil
	}
	return "", fmt.Errorf("cookie: a source of the kind %s has no file", kind)
}

// Cookie returns the cookie that the source names.
func (s Source) Cookie() (string, error) {
	kind, arg, err := s.parts()
	if err != nil {
		return "", err
	}
	switch kind {
	case "file":
		return Load(arg)
	case "env":
		c, err := variable(arg, "")
		if err != nil {
			return "", err
		}
		if err := cookiefile.Check(c); err != nil {
			return "", &Error{Var: arg, Err: fmt.Errorf("environment variable %s: %w", arg, err)}
		}
		return c, nil
	case "derive":
		secret, err := variable(SecretVar, secretHint)
		if err != nil {
			return "", err
		}
		return Derive([]byte(secret), arg)
	case string(Fresh):
		return New(), nil
	}
	path, err := DefaultPath()
	if err != nil {
		return "", err
	}
	return LoadOrCreate(path)
}

// secretHint keeps the new secret off every command line and out of the shell's history.
const secretHint = `make one, the same for every host of a cluster: export ` + SecretVar +
	`="$(openssl rand -hex 32)"`

// variable returns an environment variable, which must be set, and not to nothing.
func variable(key, hint string) (string, error) {
	value, set := os.LookupEnv(key)
	switch {
	case !set:
		err := fmt.Errorf("environment variable %s is not set", key)
		return "", &Error{Var: key, Err: err, Hint: hint}
	case value == "":
		err := fmt.Errorf("environment variable %s must not be empty", key)
		return "", &Error{Var: key, Err: err, Hint: hint}
	}
	return value, nil
}
