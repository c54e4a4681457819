package shell

import (
	"strings"
	"unicode"
)

// Quote returns s as one word of cmd or PowerShell. What neither can quote the same way (a ", a % or $, a control character) is replaced
// by a ?, so the command then names nothing: it has to stay one word.
func Quote(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == '"' || r == '%' || r == '$' || r == '`' || r == '!' || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(`_-./:@+\`, r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return `"` + s + `"`
}
