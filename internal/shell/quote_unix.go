//go:build !windows

package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns s as one word of a POSIX shell. What a terminal would act on is written as $'\033', which every shell but dash knows; for
// dash it is another word, but still one word.
func Quote(s string) string {
	if s != "" && strings.IndexFunc(s, isSpecial) < 0 {
		return s
	}
	if utf8.ValidString(s) && strings.IndexFunc(s, isControl) < 0 {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
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

func isControl(r rune) bool { return !unicode.IsPrint(r) }

// isSpecial reports whether the character may mean something to a shell, at least in some place. A ~ or a = does at the beginning of a
// word, or in zsh.
func isSpecial(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-./:@%+,", r))
}
