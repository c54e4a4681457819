package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/ensure/orphan"
)

// Rules for words. A result goes to stdout, everything else to stderr as "beamrun: …": lower case, no full stop, then
// a line "hint: …" where something mends it. With --json stdout gets one object, an error too. When a program is
// launched, stdout and stderr are the program's: beamrun is silent unless something went wrong or -v is given.

// Exit codes, beside those of the program.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNoEpmd   = 69  // EX_UNAVAILABLE of sysexits.h
	exitCannot   = 126 // as a shell: the program is there and can't be run
	exitNotFound = 127 // as a shell
)

// usageError is a command line that means nothing.
type usageError struct{ message, hint string }

func (e *usageError) Error() string { return e.message }

// programError is a program that can't be run.
type programError struct {
	name string
	err  error
}

func (e *programError) Error() string {
	return fmt.Sprintf("%s: %v", printable(e.name), rootCause(e.err))
}
func (e *programError) Unwrap() error { return e.err }

// rootCause is the innermost error: those around it repeat the program's name and ours.
func rootCause(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// printedError is a failure that a beamrun below us has put into words.
type printedError struct{ code int }

func (e *printedError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// report is an error as it is shown.
type report struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// describe puts an error into words and an exit code.
func describe(err error) (report, int) {
	var (
		usage   *usageError
		program *programError
		ensured *ensure.Error
		file    *cookie.FileError
		lost    *orphan.Error
		refused *stopError
		folder  *epmdless.FolderError
	)
	switch {
	case errors.As(err, &usage):
		return report{"usage", usage.message, usage.hint}, exitUsage
	case errors.As(err, &folder):
		return report{"epmdless", folder.Error(), "nodes without epmd need a folder that this user alone can enter: set HOME to one of this user's"}, exitFailed
	case errors.As(err, &program):
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return report{"program-not-found", program.Error(), "is it installed, and in a folder of PATH? beamrun's commands: beamrun help"}, exitNotFound
		}
		return report{"program-not-runnable", program.Error(), "it has to be a program, or a script with a #! line, that you may run"}, exitCannot
	case errors.As(err, &ensured):
		code := exitNoEpmd
		if ensured.Kind == ensure.KindConfig {
			code = exitUsage
		}
		return report{string(ensured.Kind), ensured.Message(), ensured.Hint}, code
	case errors.As(err, &file):
		return report{"cookie", file.Message(), file.Hint}, exitFailed
	case errors.As(err, &lost):
		return report{string(lost.Kind), lost.Message(), lost.Hint}, exitFailed
	case errors.As(err, &refused):
		return report{refused.kind, refused.Error(), refused.hint}, exitFailed
	case errors.Is(err, epmd.ErrNotRegistered):
		return report{"not-registered", err.Error(), "beamrun names lists the nodes that are"}, exitFailed
	}
	return report{"failed", err.Error(), ""}, exitFailed
}

// fail shows an error and returns the exit code.
func (a *app) fail(err error) int {
	var printed *printedError
	if errors.As(err, &printed) {
		return printed.code
	}
	r, code := describe(err)
	if a.json {
		a.printJSON(map[string]report{"error": r})
		return code
	}
	a.sayReport(r)
	return code
}

func (a *app) sayReport(r report) {
	a.say("%s", r.Message)
	if r.Hint != "" {
		fmt.Fprintln(a.stderr, "hint:", clean(r.Hint))
	}
}

// say writes one message to stderr.
func (a *app) say(format string, args ...any) {
	fmt.Fprintln(a.stderr, "beamrun:", clean(fmt.Sprintf(format, args...)))
}

// clean escapes what could play tricks with a terminal, but for line ends: a path, or what epmd printed, may hold any byte.
func clean(s string) string {
	tricky := func(r rune) bool { return r == utf8.RuneError || r != '\n' && !strconv.IsPrint(r) }
	if strings.IndexFunc(s, tricky) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if tricky(r) {
			q := strconv.Quote(s[:size])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}

// printJSON writes one object to stdout.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printable quotes a text from outside that could play tricks with a terminal.
func printable(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return s // as most are; strconv.Quote takes a third of a millisecond for a thousand names
	}
	if q := strconv.Quote(s); q[1:len(q)-1] != s || strings.Contains(s, " ") {
		return q
	}
	return s
}
