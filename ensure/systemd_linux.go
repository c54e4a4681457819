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
	"strconv"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// startUnit has systemd run the daemon, in a service or where it is forced: see [DetachAuto]. Where it does not, nothing
// is done, and a child of ours may be the daemon; mortal then warns of its end, if the service's will be that too.
func (c Config) startUnit(ctx context.Context, forced bool, program string, res *Result) (done bool, mortal string, _ *Error) {
	in, err := systemdHere()
	switch {
	case forced && err != nil:
		return false, "", noUnit(res.Endpoint, err)
	case err != nil, in.name == "" && !forced:
		return false, "", nil
	}
	units, err := c.units(ctx, program, res.Endpoint)
	for _, u := range units {
		failed := u.run(ctx, res)
		if failed == nil {
			res.Warnings = nil // of no lock or no log: the unit's name is the lock, and the journal the log
			if u.runtimeDir != "" && in.name != "" && !in.ofUser {
				res.warnOfLogout(ctx)
			}
			return true, "", nil
		}
		if ended(ctx) != nil {
			return false, "", failed
		}
		if err == nil {
			err = failed.Err
		} else {
			err = fmt.Errorf("%w; %w", err, failed.Err)
		}
	}
	if forced {
		return false, "", noUnit(res.Endpoint, err)
	}
	if in.endsAll(ctx) {
		mortal = fmt.Sprintf("this epmd ends with %s, and every node of the host loses its name then; %s (systemd did not run it apart: %v)",
			in.name, remedy(in.name, res.Endpoint), err)
	}
	// that took a while
	var found *Error
	if res.Address, found = probe(ctx, res.Endpoint, probeTimeout); found != nil && found.Kind == KindDown {
		return false, mortal, nil
	}
	return found == nil, "", found
}

// systemdHere returns the service that this process is in; it has no name if it is in none. The error says why systemd can't
// help here.
func systemdHere() (in service, err error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		return in, fmt.Errorf("systemd did not boot this host: %w", err)
	}
	// A unit would be in the host's network. Only root is told which that is; a user's own service is in it anyway.
	theirs, err := os.Readlink("/proc/1/ns/net")
	ours, _ := os.Readlink("/proc/self/ns/net")
	if err == nil && theirs != ours {
		return in, errors.New("this process has a network of its own (PrivateNetwork=, ip netns)")
	}
	cgroup, err := os.ReadFile("/proc/self/cgroup")
	return serviceOf(string(cgroup)), err
}

// units are the ways to have systemd run epmd, the best first.
func (c Config) units(ctx context.Context, program string, e Endpoint) (units []unit, _ error) {
	if os.Geteuid() != 0 {
		dir, err := userManager()
		if err != nil {
			return nil, err
		}
		u := transient(program, e)
		u.detach, u.runtimeDir = "user", dir
		return []unit{u}, nil
	}
	if c.Program == "" && isSocketFor(ctx, e) {
		units = append(units, epmdSocket)
	}
	// Unprivileged, if such a user gets at the program: it may be in somebody's home folder, and the port below 1024.
	return append(units, transient(program, e, "DynamicUser=yes"), transient(program, e)), nil
}

// userManager returns the folder by which the user's own manager is reached. In a service with User= nothing says it.
func userManager() (dir string, err error) {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid())} {
		if dir == "" {
			continue
		}
		var info os.FileInfo
		if info, err = os.Stat(filepath.Join(dir, "systemd/private")); err == nil && ownedByUs(info) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("only root may start its units, and this user has no manager that runs: %w", err)
}

// endsAll says whether systemd ends whatever the service has started.
func (in service) endsAll(ctx context.Context) bool {
	if in.ofUser {
		return true // its manager was asked in vain
	}
	out, err := systemd(ctx, "", "systemctl", "show", "--property=KillMode", "--value", in.name)
	return err != nil || !slices.Contains([]string{"process", "none"}, string(bytes.TrimSpace(out)))
}

// remedy says what keeps an epmd alive that a service needs and can't start as a unit.
func remedy(service string, e Endpoint) string {
	if e.Port == epmd.DefaultPort && hasUnitFile(epmdSocket.name) {
		return "add Wants=epmd.socket and After=epmd.socket to " + service
	}
	return "add ExecStartPre=+beamrun ensure to " + service // "+": as root
}

// warnOfLogout warns of an epmd that a user's manager runs, where that ends when the user logs out.
func (r *Result) warnOfLogout(ctx context.Context) {
	uid := strconv.Itoa(os.Getuid())
	out, err := systemd(ctx, "", "loginctl", "show-user", "--property=Linger", "--value", uid)
	if err == nil && string(bytes.TrimSpace(out)) == "no" {
		r.warn("this epmd ends at the last logout of user %s; to keep it: loginctl enable-linger %[1]s", uid)
	}
}

// systemd runs a program of systemd's, for the user's manager if there is a runtimeDir. The error holds what it said. It gets
// a third of the time that is left, for there are other ways than a manager that hangs.
func systemd(ctx context.Context, runtimeDir string, command ...string) (out []byte, err error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/3)
		defer cancel()
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		path = "/usr/bin/" + command[0] // a service may have any PATH
	}
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	if runtimeDir != "" {
		cmd.Args = slices.Insert(cmd.Args, 1, "--user")
		cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR="+runtimeDir)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	switch out, err = cmd.Output(); {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", command[0], ctx.Err())
	case err != nil:
		return out, fmt.Errorf("%s: %w: %s", command[0], err, bytes.TrimSpace(said.Bytes()))
	}
	return out, nil
}
