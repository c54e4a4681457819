package cookie

import (
	"errors"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/shell"
)

func TestWeak(t *testing.T) {
	for c, want := range map[string]string{
		"":                           "0 characters",
		"monster":                    "7 characters",
		"0123456789abcde":            "15 characters",
		strings.Repeat("ab", 20):     "2 different",
		"ABCDEFGHIJKLMNOPQRST":       "guessable (CVE-2018-1279)",
		"ABCDEFGHIJKLMNOPQRSTU":      "",
		"ABCDEFGHIJKLMNOPQRS1":       "",
		"0123456789abcdef":           "",
		New():                        "",
		strings.Repeat("secret9", 4): "",
	} {
		got := Weak(c)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", c, got, want)
		}
		if c != "" && strings.Contains(got, c) {
			t.Errorf("%q shows the cookie", got)
		}
	}
}

// A hint of words is no command, whatever it begins with, and neither is one that was put in its
// place.
func TestHintCommand(t *testing.T) {
	command := shell.New("chmod", "400").Path("/home/a/.erlang.cookie")
	var e *FileError
	if !errors.As(fail("/x", errEmpty, hint{command: command}), &e) || e.Command() != command.String() || e.Hint != command.String() {
		t.Errorf("%+v", e)
	}
	e.Hint = "say where its cookie is"
	if e.Command() != "" {
		t.Errorf("%+v", e)
	}
	if !errors.As(fail("/x", errEmpty, hint{words: "chmod is not what helps"}), &e) || e.Command() != "" || e.Hint == "" {
		t.Errorf("%+v", e)
	}
}
