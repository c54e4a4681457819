package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/shell"
)

// Rules for words. A result goes to stdout, everything else to stderr as "beamrun: …": lower
// case, no full stop, then a line "hint: …" where there is a fix. What comes from outside is
// cleaned once, where it is printed. With --json stdout gets one object, an error too. When a
// program is launched, stdout and stderr are the program's: beamrun is silent unless something went
// wrong or -v is given.

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
	return fmt.Sprintf("%s: %s", printable(e.name), joined(rootCause(e.err)))
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

// reportedError is a failure of a beamrun below us, as that describes it.
type reportedError struct {
	report
	code int
}

func (e *reportedError) Error() string { return e.Message }

// report is an error as it is shown.
type report struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String returns the report on one line, for a warning.
func (r report) String() string {
	if r.Hint == "" {
		return r.Message
	}
	return r.Message + "; hint: " + r.Hint
}

// failure is what --json prints of one.
type failure struct {
	Error    report   `json:"error"`
	Warnings []string `json:"warnings,omitempty"` // of what was tried before
}

// describe puts an error into words and an exit code.
func describe(err error) (report, int) {
	var (
		usage   *usageError
		below   *reportedError
		program *programError
		ensured *ensure.Error
		stored  *cookie.Error
		lost    *orphan.Problem
		other   *otherHostError
		refused *stopError
		dir     *epmdless.DirError
	)
	switch {
	case errors.As(err, &below):
		return below.report, below.code
	case errors.As(err, &usage):
		return report{"usage", usage.message, usage.hint}, exitUsage
	case errors.As(err, &dir) && errors.Is(err, syscall.EROFS):
		return report{"epmdless", joined(dir),
			"root's module is where every user can read it, /var/cache/beamrun:" +
				" mount a tmpfs there, or become the node's user before"}, exitFailed
	case errors.As(err, &dir):
		return report{"epmdless", joined(dir),
			"nodes without epmd need a directory that this user alone can enter:" +
				" set HOME to one of this user's"}, exitFailed
	case errors.As(err, &program):
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			return report{"program-not-found", program.Error(),
				"is it installed, and in a directory of PATH?" +
					" beamrun's commands: beamrun help"}, exitNotFound
		}
		return report{"program-not-runnable", program.Error(),
			"it has to be a program, or a script with a #! line, that you may run"}, exitCannot
	case errors.As(err, &ensured):
		code := exitNoEpmd
		if ensured.Kind == ensure.KindConfig {
			code = exitUsage
		}
		return report{string(ensured.Kind), ensured.Message(), epmdHint(ensured)}, code
	case errors.As(err, &stored):
		return report{"cookie", stored.Message(), cookieHint(stored.Hint, stored)}, exitFailed
	case errors.As(err, &other):
		return report{"other-host", other.Error(),
			"run beamrun there; without the @ and what follows it," +
				" the name is one of this host"}, exitFailed
	case errors.As(err, &lost):
		return report{string(lost.Kind), lost.Message(), cookieHint(lost.Hint, lost)}, exitFailed
	case errors.As(err, &refused):
		return report{refused.kind, refused.Error(), refused.hint}, exitFailed
	case errors.Is(err, epmd.ErrNotRegistered):
		return report{"not-registered", err.Error(),
			"beamrun names lists the nodes that are"}, exitFailed
	}
	return report{"failed", joined(err), ""}, exitFailed
}

// epmdHint adds what beamrun's own flags and commands can do to what package ensure advises.
func epmdHint(e *ensure.Error) string {
	switch e.Kind {
	case ensure.KindDown:
		return "start it: beamrun ensure"
	case ensure.KindForeign:
		return e.Hint + " or --port N; nodes can also do without epmd: --epmdless"
	case ensure.KindNotFound:
		return e.Hint + "; --epmd PATH names one, without it one is looked for"
	}
	return e.Hint
}

// cookieHint adds the same to what package cookie advises, where the hint of err is that.
func cookieHint(hint string, err error) string {
	var (
		stored *cookie.Error
		file   *cookiefile.Error
	)
	switch {
	case hint == "":
	case errors.As(err, &stored) && stored.Var == cookie.SecretVar:
		return hint + ", or from: beamrun cookie new"
	case !errors.As(err, &file):
	case file.Fix.Rotate:
		given := shell.New("beamrun", "--cookie").Option("file:", file.Path)
		return file.Fix.With(given.Words("cookie", "rotate")).String()
	case file.Fix.Other:
		return hint + ", or give the cookie with --cookie env:NAME"
	case file.Fix.Inside != "":
		return "name a file in it: --cookie " + shell.Quote("file:"+file.Fix.Inside)
	}
	return hint
}

// fail shows an error and returns the exit code.
func (a *app) fail(err error) int {
	var printed *printedError
	if errors.As(err, &printed) {
		return printed.code
	}
	r, code := describe(err)
	if a.json {
		a.printJSON(failure{r, a.untold})
		return code
	}
	a.sayWarnings(a.untold)
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

// clean makes one line of a text from outside: a path, a name or what epmd printed may hold any
// byte, and must not act on the terminal or begin a line that looks like one of ours.
func clean(s string) string { return shell.Line(s) }

// joined is an error of several, which have a line each, in one line.
func joined(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// printJSON writes one object to stdout. What is not printable is escaped, so that no terminal acts
// on it; a parser reads the same string.
func (a *app) printJSON(v any) error {
	text, err := jsonText(v)
	if err == nil {
		_, err = a.stdout.Write(text)
	}
	return err
}

// jsonText is a value as JSON on one line, in which a terminal finds nothing to act on.
func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	out := make([]byte, 0, b.Len())
	for _, r := range b.String() {
		switch {
		case r == '\n' || shell.IsPrint(r): // that after the object; those in strings are escaped
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			r1, r2 := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, r1, r2)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out, nil
}

// printable quotes a text from outside that could play tricks with a terminal, or with a reader: a
// mark joins the character before it, which may be ours, and a name at the begin of a line may be
// "hint:" or "$".
func printable(s string) string {
	tricky := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\$:`, r) }
	if !strings.ContainsFunc(s, tricky) {
		return s // as most are; strconv.Quote takes a third of a millisecond for a thousand names
	}
	q := strconv.Quote(s)
	isOdd := func(r rune) bool { return unicode.IsMark(r) || !shell.IsPrint(r) }
	if strings.ContainsFunc(s, isOdd) {
		q = strconv.QuoteToASCII(s)
	}
	if q[1:len(q)-1] != s || strings.ContainsAny(s, " $:") {
		return q
	}
	return s
}
