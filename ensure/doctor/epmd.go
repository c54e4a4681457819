package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/internal/shell"
)

// namesOne is the advice where there is no epmd program that could be started.
const namesOne = "%s; --epmd PATH names one, without it one is looked for"

// program: which epmd would be started.
func (p *patient) program(ctx context.Context) Check {
	path, err := p.config.Find(ctx)
	var e *ensure.Error
	switch {
	case errors.As(err, &e) && p.err == nil:
		return found(Warn, "%v; the one that runs could not be started again", e.Err).advise(namesOne, e.Hint)
	case errors.As(err, &e):
		return found(Fail, "%v", e.Err).advise(namesOne, e.Hint)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return found(Fail, "%s: %v", path, err)
	}
	if real != path {
		path += " (" + real + ")"
	}
	version := ertsOf(real)
	if version == "" {
		return ok("%s", path)
	}
	if c := p.withoutIPv6(path, version); c.Status != "" {
		return c
	}
	return ok("%s, of ERTS %s", path, version)
}

// ertsOf is the version of the runtime system of which a path's program is a part, or "".
func ertsOf(path string) string {
	for part := range strings.SplitSeq(path, string(filepath.Separator)) {
		if version, is := strings.CutPrefix(part, "erts-"); is {
			return version
		}
	}
	return ""
}

// answers: the probe.
func (p *patient) answers(context.Context) Check {
	if p.err == nil {
		with := "with " + count(len(p.names), "node")
		if p.unnamed != nil {
			with = "with names that could not be read"
		}
		return ok("on %s, %s, in %v", p.result.Address, with, p.result.Elapsed.Round(100*time.Microsecond))
	}
	c := found(Fail, "%s", p.err.Message())
	o, known := p.owner()
	switch {
	case p.err.Kind == ensure.KindConfig: // environment says it
		return Check{}
	case p.err.Kind == ensure.KindDown && p.elsewhere() != 0:
		return c.advise("see below: environment")
	case p.err.Kind == ensure.KindDown:
		return c.run(p.beamrun().Words("ensure")).
			advise("or start nodes that do without: beamrun --epmdless PROGRAM; then: beamrun --epmdless doctor")
	case p.err.Kind == ensure.KindHung && known && o.Stopped():
		return c.run(shell.New("kill", "-CONT").Int(o.PID))
	}
	if p.err.Kind == ensure.KindForeign {
		return c.advise("%s or --port N; nodes can also do without epmd: --epmdless", p.err.Hint)
	}
	return c.advise("%s", p.err.Hint)
}

// process: who has the port.
func (p *patient) process(context.Context) Check {
	o, known := p.owner()
	if known {
		since := o.Since()
		c := ok("%v has port %d since %s (%s)", o, p.port(), since.Format(time.DateTime), age(time.Since(since)))
		if gone := o.Deleted(); gone != "" && p.err == nil { // distillery#320
			c.Status = Warn
			c.Evidence += shell.Line("; its program " + gone + " was deleted, or replaced by another")
			if unit := p.restart(o); !unit.IsZero() { // words, for systemctl asks for no nodes
				return c.advise("while no node is registered: %v; it goes on until then", unit)
			}
			c = p.again(c, p.beamrun().Words("ensure"), "it goes on until then")
		}
		return c
	}
	for _, s := range p.sockets {
		if s.Addr.Port() == p.port() {
			return ok("user %s has port %d; root can see by which process", userName(s.UID), p.port())
		}
	}
	return Check{}
}

// age is a time in one unit.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return count(int(d.Seconds()), "second")
	case d < time.Hour:
		return count(int(d.Minutes()), "minute")
	case d < 48*time.Hour:
		return count(int(d.Hours()), "hour")
	}
	return count(int(d.Hours()/24), "day")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// addresses: where it listens, and what that exposes.
func (p *patient) addresses(context.Context) Check {
	var at []netip.Addr
	for _, s := range p.sockets {
		if s.Addr.Port() == p.port() {
			at = append(at, s.Addr.Addr())
		}
	}
	if len(at) == 0 || p.err != nil {
		return Check{}
	}
	slices.SortFunc(at, netip.Addr.Compare)
	open := slices.ContainsFunc(at, func(a netip.Addr) bool { return !a.IsLoopback() })
	const exposes = "whoever reaches that port can list the nodes, take names and use up its connections"
	switch {
	case slices.ContainsFunc(at, netip.Addr.IsUnspecified):
		c := ok("all of this host: %s; a firewall, or epmd started with --local, keeps others out", exposes)
		if asked := p.result.Endpoint.Addresses; len(asked) > 0 && !slices.ContainsFunc(asked, netip.Addr.IsUnspecified) {
			c = found(Warn, "all of this host, while only %s is asked for (--address, --local or ERL_EPMD_ADDRESS): %s", list(asked), exposes)
			c = p.again(c, p.beamrun().Words("ensure"), "")
		}
		return c
	case open:
		return ok("%s: %s", list(at), exposes)
	}
	return ok("%s, so this host alone", list(at))
}

func list[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}

// others: more than one epmd.
func (p *patient) others(context.Context) Check {
	o, known := p.owner()
	var more []string
	port := 0
	for _, e := range p.epmds {
		if known && e.PID == o.PID {
			continue
		}
		where := "on no port"
		if len(e.Sockets) > 0 {
			port = int(e.Sockets[0].Addr.Port())
			where = fmt.Sprintf("on port %d", port)
		}
		more = append(more, fmt.Sprintf("pid %d %s", e.PID, where))
	}
	unseen := notSeen(p.unseenEpmds, "epmd")
	if len(more) == 0 {
		return p.asRootSees(ok("none%s", unseen), p.unseenEpmds)
	}
	c := found(Warn, "%s: nodes of one do not find those of another%s", strings.Join(more, ", "), unseen)
	if len(more) == 1 && port != 0 {
		return c.advise("if nobody needs it: %v", shell.New("beamrun", "--port").Int(port).Words("stop"))
	}
	return c.advise("end those that nobody needs: beamrun --port N stop")
}
