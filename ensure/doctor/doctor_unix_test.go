//go:build unix

package doctor

import (
	"os/exec"
	"testing"
)

// A command's word is one to a shell.
func TestQuoted(t *testing.T) {
	for _, s := range []string{"/home/alice", "a b", "it's", "$HOME `id` $(id); * ? [a] # !", "日本"} {
		if out, err := exec.Command("sh", "-c", "printf %s "+quoted(s)).Output(); err != nil || string(out) != s {
			t.Errorf("%q became %q, %v", s, out, err)
		}
	}
}
