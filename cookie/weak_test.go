package cookie

import (
	"strings"
	"testing"
)

func TestWeak(t *testing.T) {
	for c, want := range map[string]string{
		"":                           "0 characters",
		"monster":                    "7 characters",
		"0123456789abcde":            "15 characters",
		strings.Repeat("ab", 20):     "2 different",
		"ABCDEFGHIJKLMNOPQRST":       "20 capital letters",
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

// A hint of words is no command.
func TestHintCommand(t *testing.T) {
	for hint, command := range map[string]bool{
		"chmod 400 /home/a/.erlang.cookie": true, "beamrun --cookie file:/x cookie rotate": true, "": true,
		"the file is another user's: become that one, with sudo -H -u '#7', or name a file of your own": false,
		"folder /root is another user's, and closed: is HOME yours? or name a file of your own":         false,
		"name a file in it: --cookie file:/x/.erlang.cookie":                                            false,
	} {
		e := &FileError{Hint: hint}
		if got := e.Command(); got != hint && command || got != "" && !command {
			t.Errorf("%q: %q", hint, got)
		}
	}
}
