package ensure

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/spawn"
	"github.com/beamrun/beamrun/internal/systemd"
)

// startUnit has systemd run the daemon, in a service or where it is forced: see [DetachAuto]. Where
// it does not, nothing is done, and a child of ours may be the daemon; mortal then warns of its
// end, if the service's will be that too.
func (c Config) startUnit(
	ctx context.Context, forced bool, program string, res *Result,
) (done bool, mortal string, _ *Error) {
	in, err := systemd.Here()
	switch {
	case forced && err != nil:
		return false, "", noUnit(res.Endpoint, err)
	case err != nil, in.Name == "" && !forced:
		return false, "", nil
	}
	units, err := c.units(ctx, program, res.Endpoint)
	for _, u := range units {
		failed := u.run(ctx, res)
		if failed == nil {
			// of no lock or no log: the unit's name is the lock, and the journal the log
			res.Warnings = nil
			if u.runtimeDir != "" && in.Name != "" && in.User == "" {
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
	if _, ends := systemd.KillMode(ctx, in); ends {
		mortal = fmt.Sprintf("this epmd ends with %s, and every node of the host loses its name"+
			" then; %s (systemd did not run it apart: %v)",
			in.Name, systemd.Remedy(in.Name, res.Endpoint.Port), err)
	}
	// that took a while
	var found *Error
	res.Address, found = probe(ctx, &res.Endpoint, res.patience)
	if found != nil && found.Kind == KindDown {
		return false, mortal, nil
	}
	return found == nil, "", found
}

// units are the ways to have systemd run epmd, the best first.
func (c Config) units(ctx context.Context, program string, e Endpoint) (units []unit, _ error) {
	if os.Geteuid() != 0 {
		dir, err := systemd.UserManager()
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
	// Unprivileged, if such a user gets at the program: it may be in somebody's home directory, and
	// the port below 1024.
	return append(units, transient(program, e, "DynamicUser=yes"), transient(program, e)), nil
}

// warnOfLogout warns of an epmd that a user's manager runs, where that ends when the user logs out.
func (r *Result) warnOfLogout(ctx context.Context) {
	uid := os.Getuid()
	if systemd.EndsAtLogout(ctx, strconv.Itoa(uid)) {
		r.warn(WarnEnds, "this epmd ends at the last logout of user %d; to keep it: %v",
			uid, shell.New("loginctl", "enable-linger").Int(uid))
	}
}

// unit is a unit of systemd that runs an epmd.
type unit struct {
	detach     string   // for Result.Detach
	name       string   // the unit's
	runtimeDir string   // of the user's manager; "": it is the system's
	program    string   // the epmd; "": the distribution knows its own
	command    []string // starts it
}

// epmdSocket is the distribution's unit. It listens at once and starts epmd for its first client.
var epmdSocket = unit{
	detach: "socket", name: "epmd.socket", command: []string{"systemctl", "start", "epmd.socket"},
}

// transient is a unit of ours. Its name is the lock of all who start one.
func transient(program string, e Endpoint, properties ...string) unit {
	name := fmt.Sprintf("beamrun-epmd-%d.service", e.Port)
	u := unit{detach: "system", name: name, program: program}
	const what = "--description=Erlang Port Mapper Daemon on port %d, started by beamrun"
	u.command = []string{
		"systemd-run", "--quiet", "--collect", "--unit=" + name, fmt.Sprintf(what, e.Port),
	}
	for _, p := range append([]string{
		"Type=exec", // with "simple" a program that can't be run would count as started
		// An epmd that finds the port taken ends with 0; with these three systemd could not start
		// it.
		"Restart=on-failure", "RestartPreventExitStatus=203 217 226",
	}, properties...) {
		u.command = append(u.command, "--property="+p)
	}
	for _, v := range spawn.Env() {
		u.command = append(u.command, "--setenv="+v)
	}
	u.command = append(u.command, "--", program)
	u.command = append(u.command, epmdArgs(e)...)
	return u
}

// run starts the unit and waits until an epmd answers. If none does, the unit is stopped.
func (u unit) run(ctx context.Context, res *Result) *Error {
	started := true
	if _, err := systemd.Run(ctx, u.runtimeDir, u.command...); err != nil {
		// it is there already, or can't be had
		started = false
		if !slices.Contains([]string{"active", "activating", "reloading"}, u.state(ctx)) {
			return u.failed(ctx, res.Endpoint, err)
		}
	}
	if err := u.await(ctx, res); err != nil {
		if started {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			systemd.Run(ctx, u.runtimeDir, "systemctl", "stop", u.name)
		}
		err.Err = fmt.Errorf("%s: %w", u.name, err.Err)
		return err
	}
	if u.program != "" {
		p, known := owner.OfPort(res.Endpoint.Port)
		if started = started && (!known || u.has(p.PID)); !started {
			return nil // another's epmd was faster, and this one ended
		}
		res.PID, res.Program = p.PID, u.program
	}
	if started {
		res.Started, res.Detach, res.Unit = true, u.detach, u.name
	}
	return nil
}

// failed is the error for a unit that could not be started.
func (u unit) failed(ctx context.Context, e Endpoint, err error) *Error {
	if end := ended(ctx); end != nil {
		return &Error{Kind: endKind(end), Endpoint: e, Err: fmt.Errorf("%w: %w", end, err)}
	}
	return &Error{Kind: KindSpawn, Endpoint: e, Err: err}
}

// has reports whether a process is the unit's.
func (u unit) has(pid int) bool {
	cgroup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	return strings.Contains(string(cgroup), "/"+u.name)
}

// await waits until an epmd answers, or the unit has ended.
func (u unit) await(ctx context.Context, res *Result) *Error {
	const between = 100 * time.Millisecond // asking systemd takes 5 to 10
	next := time.Now().Add(between)
	return poll(ctx, func() (err *Error) {
		gone := false // before the probe: what it does after its end counts no more
		if time.Now().After(next) {
			gone = slices.Contains([]string{"inactive", "failed"}, u.state(ctx))
			next = time.Now().Add(between)
		}
		res.Address, err = probe(ctx, &res.Endpoint, res.patience)
		if err != nil && err.Kind == KindDown && gone {
			journal := shell.New("journalctl")
			if u.runtimeDir != "" {
				journal = journal.Words("--user")
			}
			err = &Error{Kind: KindSpawn, Endpoint: res.Endpoint,
				Err: fmt.Errorf("it ended; see its journal: %v", journal.Words("-u").Arg(u.name))}
		}
		return err
	})
}

// state is what systemctl(1) is-active says, "" where nobody says it in time.
func (u unit) state(ctx context.Context) string {
	out, _ := systemd.Run(ctx, u.runtimeDir, "systemctl", "is-active", u.name)
	return string(bytes.TrimSpace(out))
}

// isSocketFor reports whether the distribution has that unit, for the endpoint's port. Its
// addresses are its own affair.
func isSocketFor(ctx context.Context, e Endpoint) bool {
	if len(e.Addresses) > 0 || !systemd.HasUnitFile(epmdSocket.name) {
		return false
	}
	// it prints nothing where the unit is masked
	out, err := systemd.Run(ctx, "", "systemctl", "show", "--property=Listen", epmdSocket.name)
	return err == nil && strings.Contains(string(out), fmt.Sprintf(":%d (Stream)\n", e.Port))
}
