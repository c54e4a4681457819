package shell

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns s as one word of a shell of this system.
func Quote(s string) string {
	if runtime.GOOS == "windows" {
		return quoteWindows(s)
	}
	return quotePOSIX(s)
}

// quotePOSIX is for sh. It writes what a terminal would act on as $'\033'. In dash, which does not
// know that form, it is another word, but still one word.
func quotePOSIX(s string) string {
	if s != "" && strings.IndexFunc(s, notPlain) < 0 {
		return s
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, notPrint) < 0 {
		// Each of these ends the quotation around it, so that inside there is nothing that any
		// shell acts on: fish takes \' for a quote, and csh a ! for an old command.
		return "'" + strings.NewReplacer(`'`, `'\''`, `\`, `'\\'`, `!`, `'\!'`).Replace(s) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c == '\'' || c == '\\' || c < ' ' || c > '~' {
			fmt.Fprintf(&b, `\%03o`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}

// quoteWindows is for cmd and PowerShell. What acts on one of them between quotes, or what they
// quote in different ways, becomes a ?. The command then names nothing, but it stays one word.
func quoteWindows(s string) string {
	s = strings.Map(func(r rune) rune {
		if notPrint(r) || r == utf8.RuneError ||
			strings.ContainsRune("\"%$`!^&|<>“”„‟", r) {
			return '?'
		}
		return r
	}, s)
	plain := func(r rune) bool { return r == '\\' || r != '%' && r != ',' && !notPlain(r) }
	if s != "" && s[0] != '@' && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	// a program takes \" for a quote, but \\" for the end of a word that ends with a backslash
	end := s[len(strings.TrimRight(s, `\`)):]
	return `"` + s + end + `"`
}

// IsPrint reports whether a terminal shows the character, and does nothing else: an escape, a
// control, a change of the direction of writing, and letters that are blank are not.
func IsPrint(r rune) bool {
	return unicode.IsPrint(r) && r != '\u2800' &&
		!unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r)
}

func notPrint(r rune) bool { return !IsPrint(r) }

// notPlain reports whether the character may mean something to a shell somewhere in a word. A ~ or
// a = does at its beginning, the latter in zsh.
func notPlain(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' ||
		strings.ContainsRune("_-./:@%+,", r))
}

// Line returns s as a part of one line: what is not printable, such as a line end or an ESC, is
// escaped as in Go's strings.
func Line(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, notPrint) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if notPrint(r) || r == utf8.RuneError && size == 1 {
			q := strconv.QuoteToASCII(s[:size])
			b.WriteString(q[1 : len(q)-1])
		} else {
			b.WriteRune(r)
		}
		s = s[size:]
	}
	return b.String()
}
