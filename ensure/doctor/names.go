package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// comeBack is how long a node may take to register with a new epmd by itself.
const comeBack = 3 * time.Second

// askTimeout is how long a node may take to say its name.
const askTimeout = time.Second

// registered: names with a port on which nothing listens, or that another process has.
func (h *host) registered(ctx context.Context) Check {
	switch {
	case h.unnamed != nil:
		return found(Warn, "names could not be read: %v", h.unnamed)
	case h.err != nil, len(h.sockets) == 0:
		return Check{}
	case !h.isOfHere():
		return ok("%s; who listens is not seen, for this epmd is in another network",
			count(len(h.names), "name"))
	}
	var wrong []string
	unseen := map[string][]string{} // names by why they were not looked at
	nodes := map[int]bool{}         // the pids of those that have their names rightly
	for _, n := range h.names {
		switch why, reason := h.mistake(ctx, n); {
		case why != "":
			wrong = append(wrong, why)
		case reason != "":
			unseen[reason] = append(unseen[reason], shell.Quote(n.Name))
		default:
			nodes[h.on[n.Port].PID] = true
		}
	}
	rest := ""
	for _, reason := range []string{processUnseen, speaksTLS, notInTime} {
		if names := unseen[reason]; len(names) > 0 {
			rest += "; " + reason + ": " + shortList(names)
		}
	}
	switch {
	case len(wrong) == 0 && len(unseen[notInTime]) > 0:
		return found(Warn, "%s%s", count(len(h.names), "name"), rest)
	case len(wrong) == 0 && rest != "":
		return ok("%s, each at a port where something listens%s", count(len(h.names), "name"), rest)
	case len(wrong) == 0:
		return ok("%s, each of a node that listens", count(len(h.names), "name"))
	}
	c := found(Fail, "%s", strings.Join(wrong, "; "))
	// a name is held by a connection to epmd
	holders := slices.DeleteFunc(slices.Clone(h.connected()), func(who holder) bool {
		return nodes[who.PID]
	})
	switch {
	case len(holders) == 0:
		who := shell.New("ss", "-tnp").Option("dport = :", strconv.Itoa(int(h.port())))
		c = c.advise("it is held by a connection to epmd; see as root by which process: %v", who)
	default:
		// Words, for a holder is a program that runs. It may do so for others, may have inherited
		// the connection from its parent, or was sent it by who wants it killed.
		var all []string
		for _, who := range holders {
			all = append(all, who.String())
		}
		if len(holders) <= len(wrong) {
			c.Evidence += "; held by " + shortList(all)
			c = c.advise("if nobody needs what holds it, by a connection to epmd, end that:" +
				" the name is free then")
		} else {
			c = c.advise("it is held by a connection to epmd;"+
				" start anew, or end, the one that has it, of: %s", shortList(all))
		}
	}
	c.Evidence += rest
	return c
}

// Why a name was not looked at.
const (
	processUnseen = "not seen is which process listens (root sees it)"
	speaksTLS     = "not asked, for they speak TLS"
	notInTime     = "not looked at, for the time was up"
)

// shortList names the first of many.
func shortList(names []string) string {
	const most = 20
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// mistake returns what is wrong with a name, or else why that is not known. A node is asked for its
// name only where the system does not show it.
func (h *host) mistake(ctx context.Context, n epmd.Node) (wrong, unseen string) {
	name := shell.Quote(n.Name) // anybody may register any
	if !h.listens(n.Port) {
		now, err := epmd.Lookup(ctx, h.result.Address, n.Name)
		switch {
		case errors.Is(err, epmd.ErrNotRegistered), err == nil && now.Port != n.Port:
			return "", "" // it has ended meanwhile
		case err != nil:
			return "", notInTime
		}
		return fmt.Sprintf("%s is stale: nobody listens on its port %d", name, n.Port), ""
	}
	o, known := h.on[n.Port]
	if !known {
		return "", processUnseen
	}
	for _, vm := range h.vms {
		if vm.PID != o.PID {
			continue
		}
		switch name := vmargs.ShortName(vm.Args); {
		case name == n.Name, name == "" && h.isConnected(vm.PID) && h.isAlone(n):
			return "", "" // it was given that name, or took one later and registered it itself
		}
	}
	soon, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	full, _, err := dist.Ask(soon, netip.AddrPortFrom(h.result.Address.Addr(), n.Port))
	short, _, _ := strings.Cut(full, "@")
	other := fmt.Sprintf("%s has port %d, where %v listens, which ", name, n.Port, o)
	switch {
	case errors.Is(err, dist.ErrTLS):
		return "", speaksTLS
	case ctx.Err() != nil:
		return "", notInTime
	case errors.Is(err, context.DeadlineExceeded):
		return other + "does not say its name", ""
	case err != nil:
		return fmt.Sprintf("%sis no node (%v)", other, err), ""
	case short != n.Name:
		return other + "is node " + shell.Quote(full), ""
	}
	return "", ""
}

// isConnected reports whether the process has a connection to epmd.
func (h *host) isConnected(pid int) bool {
	return slices.ContainsFunc(h.connected(), func(who holder) bool { return who.PID == pid })
}

// isAlone reports whether no other name has that port.
func (h *host) isAlone(n epmd.Node) bool {
	return !slices.ContainsFunc(h.names, func(o epmd.Node) bool {
		return o.Port == n.Port && o.Name != n.Name
	})
}

// lost: nodes that run and that epmd does not know; where none runs, all that should be in one.
func (h *host) lost(ctx context.Context) Check {
	down := h.err != nil
	if down && h.err.Kind != ensure.KindDown {
		return Check{}
	}
	nodes, epmdless, unseen, err := h.lostNodes(ctx)
	if err != nil {
		return found(Warn, "%v", err)
	}
	if down && len(nodes) == 0 && unseen == 0 {
		return Check{}
	}
	var lost, by, can, problems []string
	for _, n := range nodes {
		switch {
		case n.Problem != nil:
			problems = append(problems, n.Problem.Error())
			continue
		case n.ByChoice:
			by = append(by, n.String())
		default:
			lost = append(lost, n.String())
		}
		if shell.IsArg(n.Name) { // any user's process may have any name
			can = append(can, n.Name)
		}
	}
	c := ok("none: epmd knows every node of this host that could be seen")
	switch {
	case unseen > 0 && os.Geteuid() == 0:
		c = ok("none of those that were looked at%s", notSeen(unseen, "VM"))
	case unseen > 0:
		c = ok("none of this user's%s", notSeen(unseen, "VM"))
	case epmdless > 0:
		c.Evidence += ", but for those that do without it"
	}
	var said []string
	if len(by) > 0 {
		c.Status = Warn
		said = append(said, "running without epmd, as started (-erl_epmd_port),"+
			" so not found by name: "+strings.Join(by, ", "))
	}
	if len(lost) > 0 {
		c.Status = Fail
		how := "running, and unknown to epmd: "
		if down {
			how = "running without a name, for no epmd answers: "
		}
		said = append(said, how+strings.Join(lost, ", "))
		if o, known := h.owner(); known && time.Since(o.Since()) < comeBack {
			c.Status = Warn
			said = append(said, "but this epmd is new,"+
				" and nodes of OTP 23.3 and later come back within 2 s")
		}
	}
	if len(problems) > 0 {
		c.Status = Fail
		said = append(said, problems...)
	}
	if len(said) > 0 {
		c.Evidence = shell.Line(strings.Join(said, "; ") + notSeen(unseen, "VM"))
	}
	switch {
	case down && len(by) == 0 && len(can) > 0: // it starts an epmd, and repairs all
		c = c.run(h.repairCommand())
	case len(can) > 0:
		c = c.run(h.repairCommand(can...))
	}
	return h.asRootSees(c, unseen)
}
