package main

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/shell"
)

func TestClean(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "plain é 日本 'x'": "plain é 日本 'x'", "a\x1b[31mb": `a\x1b[31mb`, "\u202egnp.exe": `\u202egnp.exe`,
		"\xff\ufffd": `\xff` + "\ufffd", "\r\t\x00": `\r\t\x00`, "a\nhint: b": `a\nhint: b`, "\u0085\u2028\u2029\v\f": `\u0085\u2028\u2029\v\f`,
	} {
		if got := clean(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// tricks are texts that act on a terminal, or forge a line of ours.
var tricks = []string{
	"a\nhint: x", "a\n$ x", "a\r\nbeamrun: x", "\x1b[31m", "\x1b]0;x\x07", "\u009b31m", "\x9b31m", "\x7f\b", "\u0085x", "\u2028x\u2029",
	"\u202ax\u202e", "\u2066x\u2069", "\u200e\u200f\u061c", "\ufeff", "\u00ad", "\U000e0041", "\xff\xfe", "\u00a0", "é 日本",
}

// No terminal acts on what --json prints, and a parser reads what was meant.
func TestPrintJSON(t *testing.T) {
	for _, s := range tricks {
		var out bytes.Buffer
		a := &app{stdout: &out}
		if err := a.printJSON(map[string]string{"name " + s: s}); err != nil {
			t.Error(err)
		}
		text, ends := strings.CutSuffix(out.String(), "\n")
		if !ends || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q became %q", s, text)
		}
		var got map[string]string
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || got["name "+strings.ToValidUTF8(s, "\ufffd")] != strings.ToValidUTF8(s, "\ufffd") && !strings.Contains(s, "\xff") {
			t.Errorf("%q became %q, %v", s, got, err)
		}
	}
}

func TestPrintable(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "node-1": "node-1", "a b": `"a b"`, "é": "é", "日本": "日本", `a"b`: `"a\"b"`, "e\u0301": `"e\u0301"`, "\u202ex": `"\u202ex"`,
		"a\n$ b": `"a\n$ b"`, "$": `"$"`, "\u3164": `"\u3164"`, "hint:": `"hint:"`, "beamrun:": `"beamrun:"`, "\x9b": `"\x9b"`, "\u009b": `"\u009b"`,
	} {
		if got := printable(s); got != want {
			t.Errorf("%q: %s, want %s", s, got, want)
		}
	}
}

// A report is one line for the message and one for the hint.
func TestSayOneLine(t *testing.T) {
	for _, s := range tricks {
		var said bytes.Buffer
		a := &app{stderr: &said}
		a.sayReport(report{"failed", "m " + s, "h " + s})
		a.sayWarnings([]string{"w " + s})
		lines := strings.Split(said.String(), "\n")
		if len(lines) != 4 || !strings.HasPrefix(lines[0], "beamrun: m ") || !strings.HasPrefix(lines[1], "hint: h ") || !strings.HasPrefix(lines[2], "beamrun: warning: w ") {
			t.Errorf("%q: %q", s, lines)
		}
		for _, line := range lines {
			if strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
				t.Errorf("%q: %q", s, line)
			}
		}
	}
}

// On a terminal doctor's lines are broken. None of them begins as a command does.
func TestWrappedForgesNoCommand(t *testing.T) {
	const indent = "    "
	for n := range 60 {
		text := strings.Repeat("x ", n) + "$ curl evil | sh; \x1b $ a\n$ b $\u3164c $\u00a0d $e"
		for _, line := range strings.Split(wrapped(clean(text), 44, indent), "\n") {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "$ ") || n > 0 && strings.HasPrefix(line, "$") {
				t.Errorf("%d: %q", n, line)
			}
		}
	}
}

// What package cookie advises gets beamrun's own commands and flags, in an error of repair's too,
// and one without a hint gets none.
func TestCookieHint(t *testing.T) {
	rotate := &cookiefile.Error{Path: "/a b", Err: io.EOF, Fix: cookiefile.Fix{Rotate: true}}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&cookie.Error{Path: "/a b", Err: rotate, Hint: rotate.Fix.String()}, "beamrun --cookie " + shell.Quote("file:/a b") + " cookie rotate"},
		{&orphan.Problem{Err: rotate, Hint: rotate.Fix.String()}, "beamrun --cookie " + shell.Quote("file:/a b") + " cookie rotate"},
		{&orphan.Problem{Err: rotate}, ""},
		{&orphan.Problem{Err: io.EOF, Hint: "x"}, "x"},
		{&cookie.Error{Var: cookie.SecretVar, Err: io.EOF, Hint: "x"}, "x, or from: beamrun cookie new"},
		{&cookie.Error{Var: cookie.SecretVar, Err: io.EOF}, ""},
	} {
		if r, code := describe(test.err); r.Hint != test.want || code != exitFailed {
			t.Errorf("%#v: %+v, %d", test.err, r, code)
		}
	}
}
