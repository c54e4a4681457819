package cookie

import (
	"errors"
	"fmt"
	"strings"
)

// Weak returns an error that says why the cookie c can be guessed, such as "weak: it has 7
// characters". It returns nil if no reason is known. The error does not hold the cookie.
func Weak(c string) error {
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
		return fmt.Errorf("weak: it has %d characters", len(c))
	case len(distinct) < variety:
		return fmt.Errorf("weak: it has %d different characters", len(distinct))
	case len(c) == 20 && strings.IndexFunc(c, func(r rune) bool { return !capital(r) }) < 0:
		// what Erlang itself makes, from a generator that can be guessed
		return errors.New("guessable (CVE-2018-1279)")
	}
	return nil
}
