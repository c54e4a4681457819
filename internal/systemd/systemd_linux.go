package systemd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/beamrun/beamrun/internal/safepath"
)

// Here returns the service that this process is in; it has no name if it is in none. The error says
// why systemd can't help here.
func Here() (in Service, err error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return in, fmt.Errorf("systemd did not boot this host: %w", err)
	}
	// A unit would be in the host's network. Only root is told which that is; a user's own service
	// is in it anyway.
	theirs, err := os.Readlink("/proc/1/ns/net")
	ours, _ := os.Readlink("/proc/self/ns/net")
	if err == nil && theirs != ours {
		return in, errors.New("this process has a network of its own (PrivateNetwork=, ip netns)")
	}
	return Of(os.Getpid()), nil
}

// UserManager returns the directory by which the user's own manager is reached. In a service with
// User= no variable holds it.
func UserManager() (dir string, err error) {
	me := os.Getuid()
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", me)} {
		if dir == "" {
			continue
		}
		var info os.FileInfo
		info, err = os.Stat(filepath.Join(dir, "systemd/private"))
		if err == nil && info.Sys().(*syscall.Stat_t).Uid == uint32(me) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("only root may start its units, and this user has no manager that runs:"+
		" %w", err)
}

// Run runs a program of systemd's, for the user's manager if there is a runtimeDir. The error holds
// what it said. It gets a third of the time that is left, for there are other ways than a manager
// that hangs. As root it is a program that root alone can change, and asks no other user's manager:
// what is in that user's runtimeDir is theirs to replace.
func Run(ctx context.Context, runtimeDir string, command ...string) (out []byte, err error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/3)
		defer cancel()
	}
	uid, searched := os.Geteuid(), os.Getenv("PATH")
	path, err := safepath.LookPath(command[0], uid)
	if err != nil {
		path = "/usr/bin/" + command[0] // a service may have any PATH
	}
	if uid == 0 {
		searched = safepath.SystemPath
		err := safepath.Check(path, 0)
		if err == nil && runtimeDir != "" {
			err = safepath.Check(runtimeDir, 0)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", command[0], err)
		}
	}
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Dir, cmd.WaitDelay = "/", 100*time.Millisecond // it may leave a child with our pipes
	cmd.Env = []string{"PATH=" + searched}
	if runtimeDir != "" {
		cmd.Args = slices.Insert(cmd.Args, 1, "--user")
		cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+runtimeDir)
	}
	// what a user's manager has to say is that user's
	said, answer := bounded{most: 1 << 12}, bounded{most: 1 << 20}
	cmd.Stdout, cmd.Stderr = &answer, &said
	err = cmd.Run()
	switch out = answer.text; {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", command[0], ctx.Err())
	case err != nil:
		lines := bytes.ReplaceAll(bytes.TrimSpace(said.text), []byte("\n"), []byte("; "))
		return out, fmt.Errorf("%s: %w: %s", command[0], err, lines)
	}
	return out, nil
}

// bounded keeps the first bytes of what is written to it.
type bounded struct {
	text []byte
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	b.text = append(b.text, p[:min(len(p), b.most-len(b.text))]...)
	return len(p), nil
}

// HasUnitFile looks where systemd.unit(5) says. It is so much faster than to ask systemd.
func HasUnitFile(name string) bool {
	for _, dir := range []string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"} {
		if _, err := os.Stat(dir + "/systemd/system/" + name); err == nil {
			return true
		}
	}
	return false
}
