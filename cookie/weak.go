package cookie

import (
	"fmt"
	"strings"
)

// Weak says why a cookie can be guessed, "" where nothing speaks for that. The reason does not hold the cookie.
func Weak(c string) string {
	const (
		fewest  = 16 // characters: 64 bits in hex
		variety = 6  // different ones among them
	)
	distinct := map[rune]bool{}
	for _, r := range c {
		distinct[r] = true
	}
	capital := func(r rune) bool { return 'A' <= r && r <= 'Z' }
	switch {
	case len(c) < fewest:
		return fmt.Sprintf("it has %d characters", len(c))
	case len(distinct) < variety:
		return fmt.Sprintf("it has %d different characters", len(distinct))
	case len(c) == 20 && strings.IndexFunc(c, func(r rune) bool { return !capital(r) }) < 0:
		return "20 capital letters are what Erlang makes, from a generator that can be guessed (CVE-2018-1279)"
	}
	return ""
}
