package ensure

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// A variable may hold anything, of any length: an error shows its beginning, quoted.
func TestErrorsShowABeginning(t *testing.T) {
	parse := map[string]func(string) error{
		"port":    func(s string) error { _, err := ParsePort(s); return err },
		"address": func(s string) error { _, err := ParseAddresses(s); return err },
		"detach":  func(s string) error { _, err := ParseDetach(s); return err },
	}
	for name, parse := range parse {
		for _, s := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 200), strings.Repeat("\x1b", 200)} {
			err := parse(s)
			if err == nil || utf8.RuneCountInString(err.Error()) > 100*len(`\x1b`)+50 || !strings.Contains(err.Error(), `"…`) {
				t.Errorf("%s: %.200v…", name, err)
			}
		}
		if err := parse("a\n"); err == nil || !strings.HasPrefix(err.Error(), `"a\n" is not `) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
