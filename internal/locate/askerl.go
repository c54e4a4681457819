package locate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/spawn"
)

// askErl returns the directory that an erl has its epmd in. It is for an erl that is no link into
// its installation, but a script of the user's or a shim of a manager that isShims does not know.
// It runs a whole VM, and a shim that may do anything, so all other places come first.
//
// It runs in /, for erl looks for its modules in the current directory first, inet_config already
// while it boots: code of whoever can write there. Nor does it get any variable that names code or
// options for erl.
func askErl(ctx context.Context, erl string) (dir string, err error) {
	cmd := exec.CommandContext(ctx, erl, "-noinput", "-boot", "no_dot_erlang", "+fnu", "-eval",
		`io:setopts([{encoding,unicode}]),io:put_chars(os:getenv("BINDIR")),halt().`)
	cmd.Dir = "/"
	env := os.Environ()
	if os.Geteuid() == 0 {
		env = spawn.Env() // what else root has may be another user's, as after sudo -E
	}
	cmd.Env = append(withoutErl(env), "ERL_CRASH_DUMP_SECONDS=0")
	cmd.WaitDelay = time.Second
	killWithChildren(cmd)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	if err != nil {
		return "", err
	}
	if dir = string(bytes.TrimSpace(out)); !filepath.IsAbs(dir) {
		return "", fmt.Errorf("it said %.200q", dir)
	}
	return dir, nil
}

// ofErl are the variables of erl's that do not begin with ERL_, and what it must not have.
var ofErl = []string{"BINDIR", "ROOTDIR", "EMU", "PROGNAME", "PWD", "BEAMRUN_SECRET"}

// withoutErl returns env without what names code or options for erl: ERL_LIBS, ERL_INETRC,
// ERL_COMPILER_OPTIONS; and ERL_FLAGS, for with a -sname in it, it would start an epmd itself. The
// secret of cookies, which is for beamrun alone, is left out too.
func withoutErl(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		return strings.HasPrefix(key, "ERL_") || slices.Contains(ofErl, key)
	})
}
