package cookie

import (
	"fmt"
	"strings"
)

// Weak returns why a cookie can be guessed, in words that go on after "valid, but "; "" if no
// reason is known. They do not hold the cookie.
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
		return fmt.Sprintf("weak: it has %d characters", len(c))
	case len(distinct) < variety:
		return fmt.Sprintf("weak: it has %d different characters", len(distinct))
	case len(c) == 20 && strings.IndexFunc(c, func(r rune) bool { return !capital(r) }) < 0:
		// what Erlang itself makes, from a generator that can be guessed
		return "guessable (CVE-2018-1279)"
	}
	return ""
}
