//go:build unix

package cookie

import (
	"os/exec"
	"strings"
	"testing"
)

// What quote makes of a path is that path to a shell, and can be shown on a terminal.
func TestQuote(t *testing.T) {
	for path, plain := range map[string]bool{
		"/home/alice/.erlang.cookie": true, "a b": true, "it's": true, "$HOME `id` $(id); * ? [a] ~ # !": true, "": true, `back\slash`: true, "日本": true,
		"new\nline": false, "\x1b[31m": false, "\xff": false, "\u202e": false, "it's\x07\\": false,
	} {
		shells := []string{"bash"}
		if plain {
			shells = append(shells, "sh")
		}
		q := quote(path)
		if strings.IndexFunc(q, isControl) >= 0 || !plain && strings.Contains(q, "\ufffd") {
			t.Errorf("%q is shown as %q", path, q)
		}
		for _, shell := range shells {
			if _, err := exec.LookPath(shell); err != nil {
				continue
			}
			if out, err := exec.Command(shell, "-c", "printf %s "+q).Output(); err != nil || string(out) != path {
				t.Errorf("%s makes %q of %s, %v; want %q", shell, out, q, err, path)
			}
		}
	}
	if q := quote("-rf"); q != "./-rf" {
		t.Errorf("an option: %s", q)
	}
}
