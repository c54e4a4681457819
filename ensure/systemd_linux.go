package ensure

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/systemd"
)

// startUnit has systemd run the daemon, in a service or where it is forced: see [DetachAuto]. Where it does not, nothing
// is done, and a child of ours may be the daemon; mortal then warns of its end, if the service's will be that too.
func (c Config) startUnit(ctx context.Context, forced bool, program string, res *Result) (done bool, mortal string, _ *Error) {
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
			res.Warnings = nil // of no lock or no log: the unit's name is the lock, and the journal the log
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
		mortal = fmt.Sprintf("this epmd ends with %s, and every node of the host loses its name then; %s (systemd did not run it apart: %v)",
			in.Name, systemd.Remedy(in.Name, res.Endpoint.Port), err)
	}
	// that took a while
	var found *Error
	if res.Address, found = probe(ctx, &res.Endpoint, res.patience); found != nil && found.Kind == KindDown {
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
	// Unprivileged, if such a user gets at the program: it may be in somebody's home folder, and the port below 1024.
	return append(units, transient(program, e, "DynamicUser=yes"), transient(program, e)), nil
}

// warnOfLogout warns of an epmd that a user's manager runs, where that ends when the user logs out.
func (r *Result) warnOfLogout(ctx context.Context) {
	uid := os.Getuid()
	if systemd.EndsAtLogout(ctx, strconv.Itoa(uid)) {
		r.warn("this epmd ends at the last logout of user %d; to keep it: %v", uid, shell.New("loginctl", "enable-linger").Int(uid))
	}
}
