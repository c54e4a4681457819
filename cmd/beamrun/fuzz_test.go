package main

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/beamrun/beamrun/cookie"
)

// FuzzArgs takes command lines, their words separated by NUL, apart in both ways: in front of a
// program, and a command's.
func FuzzArgs(f *testing.F) {
	for _, line := range []string{
		"", "iex --sname host", "--port 4711 --cookie fresh -- ensure", "ensure -q --json", "--port=x", "--cookie hunter2 iex", "-v=maybe true", "--timeout 5s --local x -y",
		"--address 10.0.0.1,::1 --epmd /x names a@b", "--bogus\x1b[31m", "--", "-", "--=x", "-cookie=user iex", "--cookie file:x --cookie=\u202ey", "--port \x07", "-h help", "--version",
		"--epmd -- iex", "--peers -- iex", "--epmd=-- iex", "--port -- iex", "names -- a --json", "--peers \x17- iex",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\x00")
		var front, command options
		words, literal, err := front.parse(args)
		checkUsage(t, args, err)
		if err == nil {
			taken := len(args) - len(words)
			if taken < 0 || !slices.Equal(args[taken:], words) {
				t.Fatalf("%q leaves %q", args, words)
			}
			// the beamrun that starts the daemon for a launch gets the same flags
			var again options
			flags := withoutDashes(args[:taken])
			if words, _, err := again.parse(append(flags, "ensure")); err != nil || !slices.Equal(words, []string{"ensure"}) || !reflect.DeepEqual(again, front) {
				t.Errorf("%q (literal: %t) became %q: %+v, %+v, %v", args, literal, flags, front, again, err)
			}
		}
		rest, err := command.parseCommand(args)
		checkUsage(t, args, err)
		if err == nil && len(rest) > len(args) {
			t.Errorf("%q became %q", args, rest)
		}
		nodeHost(args)
	})
}

// checkUsage sees that an error says what is wrong in words that can be shown, and does not show a
// cookie.
func checkUsage(t *testing.T, args []string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var usage *usageError
	if !errors.As(err, &usage) || usage.message == "" || usage.hint == "" {
		t.Fatalf("%q: %#v", args, err)
	}
	for _, r := range usage.message + usage.hint {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			t.Errorf("%q: %q shows %q", args, usage.message+usage.hint, r)
		}
	}
	// what is given for a cookie's source may be a cookie
	if strings.HasPrefix(usage.message, "--cookie: ") && usage.message != "--cookie: "+cookie.ErrSource.Error() {
		t.Errorf("%q: %s", args, usage.message)
	}
}
