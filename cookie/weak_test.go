package cookie

import (
	"strings"
	"testing"
)

func TestWeak(t *testing.T) {
	for c, want := range map[string]string{
		"":                           "0 characters",
		"monster":                    "7 characters",
		"0123456789abcde":            "15 characters",
		strings.Repeat("ab", 20):     "2 different",
		"ABCDEFGHIJKLMNOPQRST":       "guessable (CVE-2018-1279)",
		"ABCDEFGHIJKLMNOPQRSTU":      "",
		"ABCDEFGHIJKLMNOPQRS1":       "",
		"0123456789abcdef":           "",
		New():                        "",
		strings.Repeat("secret9", 4): "",
	} {
		got := ""
		if err := Weak(c); err != nil {
			got = err.Error()
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%q: %q, want %q", c, got, want)
		}
		if c != "" && strings.Contains(got, c) {
			t.Errorf("%q shows the cookie", got)
		}
	}
}
