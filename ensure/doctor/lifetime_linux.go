package doctor

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/systemd"
)

// lifetime: where the epmd lives, and what would end it.
func (h *host) lifetime(ctx context.Context) Check {
	o, known := h.owner()
	if h.err != nil || !known {
		return Check{}
	}
	if o.Terminal() {
		c := found(Warn, "it runs at a terminal, and ends with it")
		return h.again(c, h.ensureCommand(), "")
	}
	if _, err := systemd.Here(); err != nil {
		return ok("a session of its own, and nothing that would end it is seen")
	}
	in := systemd.Of(o.PID)
	if in.Name == "" {
		return h.inSession(ctx, o)
	}
	if in.IsEpmds() {
		if in.User != "" && systemd.EndsAtLogout(ctx, in.User) {
			c := found(Warn, "%s of the manager of user %s, which ends at that user's last logout",
				in.Name, userNamed(in.User))
			linger := shell.New("loginctl", "enable-linger").Arg(in.User) // which ends nothing
			return c.run(asRoot(linger))
		}
		return ok("%s runs it", in.Name)
	}
	mode, ends := systemd.KillMode(ctx, in)
	if !ends {
		return ok("in %s, whose KillMode=%s leaves it alone", in.Name, mode)
	}
	c := found(Warn, "it ends with %s, in which it was started,"+
		" and every node of this host loses its name then", in.Name)
	return h.again(c, h.bySystemd(),
		"that it does not come to this again: "+systemd.Remedy(in.Name, h.port()))
}

// inSession is for an epmd in no service.
func (h *host) inSession(ctx context.Context, o owner.Process) Check {
	session := systemd.Session(o.PID)
	if session == "" {
		return ok("no service and no login session that would end it")
	}
	kills := ask(ctx, "busctl", "get-property", "org.freedesktop.login1",
		"/org/freedesktop/login1", "org.freedesktop.login1.Manager", "KillUserProcesses")
	if kills != "b true" {
		return ok("in %s, whose end leaves it alone (KillUserProcesses=no)", session)
	}
	return h.again(found(Warn, "it ends with the login %s (KillUserProcesses=yes)", session),
		h.bySystemd(), "")
}

// restart is the command that restarts the unit of systemd which runs the epmd, none if none does.
func (h *host) restart(o owner.Process) shell.Command {
	if _, err := systemd.Here(); err != nil {
		return shell.Command{}
	}
	switch in := systemd.Of(o.PID); {
	case !in.IsEpmds():
		return shell.Command{}
	case in.User == "":
		return asRoot(shell.New("systemctl", "restart").Arg(in.Name))
	case in.User == strconv.Itoa(os.Geteuid()):
		return shell.New("systemctl", "--user", "restart").Arg(in.Name)
	default:
		of := shell.New("systemctl", "--user", "-M").Arg(in.User + "@")
		return asRoot(of.Words("restart").Arg(in.Name))
	}
}

// units: whether the distribution's own units have failed.
func (h *host) units(ctx context.Context) Check {
	if _, err := systemd.Here(); err != nil {
		return Check{}
	}
	var said, failed []string
	for _, name := range []string{"epmd.socket", "epmd.service"} {
		if !systemd.HasUnitFile(name) {
			continue
		}
		state := ask(ctx, "systemctl", "is-active", name)
		said = append(said, name+" "+cmp.Or(state, "unknown"))
		if state == "failed" {
			failed = append(failed, name)
		}
	}
	if len(said) == 0 {
		return ok("the distribution has none for epmd")
	}
	evidence := strings.Join(said, ", ")
	if len(failed) == 0 {
		return ok("%s", evidence)
	}
	reset := shell.New("systemctl", "reset-failed").Args(failed...) // which ends and starts nothing
	return found(Warn, "%s", evidence).run(asRoot(reset)).
		advise("why it failed: journalctl -u epmd.socket -u epmd.service;" +
			" another epmd that had the port first, most often")
}

func userNamed(number string) string {
	uid, err := strconv.Atoi(number)
	if err != nil {
		return number
	}
	return userName(uid)
}

// ask is what a program of systemd's says, "" where it says nothing.
func ask(ctx context.Context, command ...string) string {
	out, _ := systemd.Run(ctx, "", command...) // is-active says the state with a bad exit code too
	return string(bytes.TrimSpace(out))
}
