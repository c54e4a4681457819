package ensure

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
)

// askErl returns the folder that an erl has its epmd in. It is for an erl that is no link into its installation, but a
// script of the user's or a shim of a manager that isShims does not know. It runs a whole VM, and a shim that
// may do anything, so all other places come first.
func askErl(ctx context.Context, erl string) (dir string, err error) {
	cmd := exec.CommandContext(ctx, erl, "-noinput", "-boot", "no_dot_erlang", "+fnu", "-eval",
		`io:setopts([{encoding,unicode}]),io:put_chars(os:getenv("BINDIR")),halt().`)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		// with a -sname in one of these it would start an epmd itself
		return key == "ERL_AFLAGS" || key == "ERL_FLAGS" || key == "ERL_ZFLAGS" ||
			key == "BEAMRUN_SECRET" // cookie.SecretVar, which is for beamrun alone
	})
	cmd.Env = append(cmd.Env, "ERL_CRASH_DUMP_SECONDS=0")
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
