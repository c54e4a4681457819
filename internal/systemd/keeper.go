// Package systemd asks systemd about units and processes, and has it do something, by its own
// programs.
package systemd

import (
	"cmp"
	"context"
	"os"
	"os/user"
	"strconv"

	"github.com/beamrun/beamrun/internal/shell"
)

// Keeper is the manager of services that keeps an epmd: it would start another in the place of one
// that somebody else ends.
type Keeper struct {
	// Units are those of systemd to stop, all of them, for the epmd to end and stay so: epmd.socket
	// and epmd.service.
	Units []string

	// User is the number of the user whose own manager has the units; empty: the system's does.
	User string
}

// KeeperOf returns the keeper of the epmd on that port. It returns false where it has none: nothing
// listens, or an epmd that is nobody's service, or part of one with another purpose. It connects to
// nothing, for a connection would start the epmd of a socket that waits for its first client. On
// every system but Linux it returns false.
func KeeperOf(ctx context.Context, port uint16) (Keeper, bool) {
	k := keeper(ctx, port)
	return k, len(k.Units) > 0
}

// StopCommand is the command for a shell with which the calling user stops it.
func (k Keeper) StopCommand() string { return k.stop().String() }

func (k Keeper) stop() shell.Command {
	dir := k.runtimeDir()
	users := func(c shell.Command) shell.Command {
		return c.Words("--user", "stop").Args(k.Units...)
	}
	asUser := func(c shell.Command) shell.Command {
		return users(c.Option("XDG_RUNTIME_DIR=", dir).Words("systemctl"))
	}
	switch me := os.Geteuid(); {
	case k.User == "":
		c := shell.New("systemctl", "stop").Args(k.Units...)
		if me != 0 {
			c = c.Sudo()
		}
		return c
	case k.User == strconv.Itoa(me) && os.Getenv("XDG_RUNTIME_DIR") == dir:
		return users(shell.New("systemctl"))
	case k.User == strconv.Itoa(me):
		return asUser(shell.Command{})
	case me == 0 && k.userName() != "": // not every host of systemd has sudo
		return asUser(shell.New("runuser", "-u").Arg(k.userName()).Words("--", "env"))
	}
	return asUser(shell.New("sudo", "-u").Arg(cmp.Or(k.userName(), "#"+k.User)))
}

// userName is "" where the user has no name.
func (k Keeper) userName() string {
	u, err := user.LookupId(k.User)
	if err != nil {
		return ""
	}
	return u.Username
}

// runtimeDir is where the user's manager is reached, "" for the system's.
func (k Keeper) runtimeDir() string {
	if k.User == "" {
		return ""
	}
	return "/run/user/" + k.User
}
