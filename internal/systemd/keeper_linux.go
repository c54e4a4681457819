package systemd

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/parse"
)

func keeper(ctx context.Context, port uint16) Keeper {
	if _, err := Here(); err != nil || !owner.Ports()[port] {
		return Keeper{}
	}
	p, known := owner.OfPort(port)
	switch {
	// another user's: which process is not known, but anybody may ask systemd, and read what a
	// process is called
	case !known:
		if units := socketsOn(ctx, "", port); len(units) > 0 {
			return Keeper{Units: units}
		}
		epmds, _ := owner.Epmds(ctx)
		for _, p := range epmds {
			if s := Of(p.PID); s.IsEpmds() && epmdPort(p.Args) == port {
				return keeperOf(ctx, s)
			}
		}
	case p.Name == "systemd": // no epmd runs yet
		k := Keeper{Units: []string{"epmd.socket", "epmd.service"}}
		if p.PID != 1 {
			k.User = userOf(p.PID)
		}
		if units := socketsOn(ctx, k.runtimeDir(), port); len(units) > 0 {
			k.Units = units
		}
		return k
	default:
		if s := Of(p.PID); s.IsEpmds() {
			return keeperOf(ctx, s)
		}
	}
	return Keeper{}
}

// epmdPort returns the port that an epmd's arguments give it, 0 for what is no port.
func epmdPort(args []string) uint16 {
	if i := slices.Index(args, "-port"); i >= 0 && i+1 < len(args) {
		port, _ := parse.Port(args[i+1])
		return port
	}
	return epmd.DefaultPort
}

// keeperOf is the service with the socket that would start it again.
func keeperOf(ctx context.Context, in Service) Keeper {
	k := Keeper{Units: []string{in.Name}, User: in.User}
	out, _ := Run(ctx, k.runtimeDir(),
		"systemctl", "show", "--property=TriggeredBy", "--value", in.Name)
	k.Units = append(unitsIn(strings.Fields(string(out))), k.Units...)
	return k
}

// socketsOn are the sockets of a manager on the port, and what they start.
func socketsOn(ctx context.Context, runtimeDir string, port uint16) (units []string) {
	out, _ := Run(ctx, runtimeDir,
		"systemctl", "list-sockets", "--full", "--no-legend", "--no-pager")
	for line := range strings.Lines(string(out)) {
		// [::]:4369 epmd.socket epmd.service
		f := strings.Fields(line)
		if len(f) < 3 || !strings.HasSuffix(f[0], fmt.Sprintf(":%d", port)) {
			continue
		}
		for _, unit := range f[1:] {
			if unit = strings.TrimSuffix(unit, ","); !slices.Contains(units, unit) {
				units = append(units, unit)
			}
		}
	}
	return unitsIn(units)
}

// unitsIn leaves out what is no unit's name: a user's own manager may print anything.
func unitsIn(words []string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !IsUnit(w) })
}

func userOf(pid int) string {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid)
}
