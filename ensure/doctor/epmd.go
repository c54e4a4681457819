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

// program: which epmd would be started.
func (h *host) program(ctx context.Context) Check {
	path, err := h.config.Find(ctx)
	var e *ensure.Error
	switch {
	case errors.As(err, &e) && h.err == nil:
		return found(Warn, "%v; the one that runs could not be started again", e.Err).
			advise(orProgram, e.Hint)
	case errors.As(err, &e):
		return found(Fail, "%v", e.Err).advise(orProgram, e.Hint)
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
	if c := h.withoutIPv6(path, version); c.Status != "" {
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
func (h *host) answers(context.Context) Check {
	if h.err == nil {
		with := "with " + count(len(h.names), "node")
		if h.unnamed != nil {
			with = "with names that could not be read"
		}
		took := h.result.Elapsed.Round(100 * time.Microsecond)
		return ok("on %s, %s, in %v", h.result.Address, with, took)
	}
	c := found(Fail, "%s", h.err.Message())
	o, known := h.owner()
	switch {
	case h.err.Kind == ensure.KindConfig: // environment says it
		return Check{}
	case h.err.Kind == ensure.KindDown && h.elsewhere() != 0:
		return c.advise("see below: environment")
	case h.err.Kind == ensure.KindDown:
		return c.run(h.ensureCommand()).advise(doWithout)
	case h.err.Kind == ensure.KindHung && known && o.Stopped():
		return c.run(shell.New("kill", "-CONT").Int(o.PID))
	}
	if h.err.Kind == ensure.KindForeign {
		return c.advise(orPort, h.err.Hint)
	}
	return c.advise("%s", h.err.Hint)
}

// process: who has the port.
func (h *host) process(context.Context) Check {
	o, known := h.owner()
	if known {
		since := o.Since()
		c := ok("%v has port %d since %s (%s)", o, h.port(),
			since.Format(time.DateTime), age(time.Since(since)))
		if gone := o.Deleted(); gone != "" && h.err == nil { // distillery#320
			c.Status = Warn
			c.Evidence += shell.Line("; its program " + gone +
				" was deleted, or replaced by another")
			if unit := h.restart(o); !unit.IsZero() { // words, for systemctl asks for no nodes
				return c.advise("while no node is registered: %v; it goes on until then", unit)
			}
			c = h.again(c, h.ensureCommand(), "it goes on until then")
		}
		return c
	}
	for _, s := range h.sockets {
		if s.Addr.Port() == h.port() {
			return ok("user %s has port %d; root can see by which process",
				userName(s.UID), h.port())
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
func (h *host) addresses(context.Context) Check {
	var at []netip.Addr
	for _, s := range h.sockets {
		if s.Addr.Port() == h.port() {
			at = append(at, s.Addr.Addr())
		}
	}
	if len(at) == 0 || h.err != nil {
		return Check{}
	}
	slices.SortFunc(at, netip.Addr.Compare)
	open := slices.ContainsFunc(at, func(a netip.Addr) bool { return !a.IsLoopback() })
	const exposes = "whoever reaches that port can list the nodes," +
		" take names and use up its connections"
	switch {
	case slices.ContainsFunc(at, netip.Addr.IsUnspecified):
		c := ok("all of this host: %s; %s", exposes, keptOut)
		asked := h.result.Endpoint.Addresses
		if len(asked) > 0 && !slices.ContainsFunc(asked, netip.Addr.IsUnspecified) {
			c = found(Warn, "all of this host, while only %s is asked for (%s): %s",
				list(asked), whereAsked, exposes)
			c = h.again(c, h.ensureCommand(), "")
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
func (h *host) others(context.Context) Check {
	o, known := h.owner()
	var more []string
	var port uint16
	for _, e := range h.epmds {
		if known && e.PID == o.PID {
			continue
		}
		where := "on no port"
		if len(e.Sockets) > 0 {
			port = e.Sockets[0].Addr.Port()
			where = fmt.Sprintf("on port %d", port)
		}
		more = append(more, fmt.Sprintf("pid %d %s", e.PID, where))
	}
	unseen := notSeen(h.unseenEpmds, "epmd")
	if len(more) == 0 {
		return h.asRootSees(ok("none%s", unseen), h.unseenEpmds)
	}
	c := found(Warn, "%s: nodes of one do not find those of another%s",
		strings.Join(more, ", "), unseen)
	if len(more) == 1 && port != 0 {
		return c.advise("if nobody needs it: %v", stopOther(port))
	}
	return c.advise(stopUnused)
}
