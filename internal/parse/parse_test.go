package parse

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A variable may hold anything, of any length: an error shows its beginning, quoted.
func TestErrorsShowABeginning(t *testing.T) {
	readers := map[string]func(string) error{
		"port":    func(s string) error { _, err := Port(s); return err },
		"address": func(s string) error { _, err := Addresses(s); return err },
	}
	for name, read := range readers {
		for _, s := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 200), strings.Repeat("\x1b", 200)} {
			err := read(s)
			if err == nil || utf8.RuneCountInString(err.Error()) > 100*len(`\x1b`)+50 || !strings.Contains(err.Error(), `"…`) {
				t.Errorf("%s: %.200v…", name, err)
			}
		}
		if err := read("a\n"); err == nil || !strings.HasPrefix(err.Error(), `"a\n" is not `) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
