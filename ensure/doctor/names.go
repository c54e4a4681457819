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

// registered: names whose port nobody listens on, or another process has.
func (p *patient) registered(ctx context.Context) Check {
	switch {
	case p.unnamed != nil:
		return found(Warn, "names could not be read: %v", p.unnamed)
	case p.err != nil, len(p.sockets) == 0:
		return Check{}
	case !p.isOfHere():
		return ok("%s; who listens is not seen, for this epmd is in another network", count(len(p.names), "name"))
	}
	var wrong []string
	unseen := map[string][]string{} // names by why they were not looked at
	nodes := map[int]bool{}         // the pids of those that have their names rightly
	for _, n := range p.names {
		switch why, reason := p.mistake(ctx, n); {
		case why != "":
			wrong = append(wrong, why)
		case reason != "":
			unseen[reason] = append(unseen[reason], shell.Quote(n.Name))
		default:
			nodes[p.on[n.Port].PID] = true
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
		return found(Warn, "%s%s", count(len(p.names), "name"), rest)
	case len(wrong) == 0 && rest != "":
		return ok("%s, each at a port where something listens%s", count(len(p.names), "name"), rest)
	case len(wrong) == 0:
		return ok("%s, each of a node that listens", count(len(p.names), "name"))
	}
	c := found(Fail, "%s", strings.Join(wrong, "; "))
	// a name is held by a connection to epmd
	holders := slices.DeleteFunc(slices.Clone(p.connected()), func(h holder) bool { return nodes[h.PID] })
	switch {
	case len(holders) == 0:
		who := shell.New("ss", "-tnp").Option("dport = :", strconv.Itoa(int(p.port())))
		c = c.advise("it is held by a connection to epmd; see as root by which process: %v", who)
	default:
		// Words, for a holder is a program that runs. It may do so for others, may have inherited
		// the connection from its parent, or was sent it by who wants it killed.
		var all []string
		for _, h := range holders {
			all = append(all, h.String())
		}
		if len(holders) <= len(wrong) {
			c.Evidence += "; held by " + shortList(all)
			c = c.advise("if nobody needs what holds it, by a connection to epmd, end that: the name is free then")
		} else {
			c = c.advise("it is held by a connection to epmd; start anew, or end, the one that has it, of: %s", shortList(all))
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
func (p *patient) mistake(ctx context.Context, n epmd.Node) (wrong, unseen string) {
	name := shell.Quote(n.Name) // anybody may register any
	if !p.listens(n.Port) {
		now, err := epmd.Lookup(ctx, p.result.Address, n.Name)
		switch {
		case errors.Is(err, epmd.ErrNotRegistered), err == nil && now.Port != n.Port:
			return "", "" // it has ended meanwhile
		case err != nil:
			return "", notInTime
		}
		return fmt.Sprintf("%s is stale: nobody listens on its port %d", name, n.Port), ""
	}
	o, known := p.on[n.Port]
	if !known {
		return "", processUnseen
	}
	for _, vm := range p.vms {
		if vm.PID != o.PID {
			continue
		}
		switch name := vmargs.ShortName(vm.Args); {
		case name == n.Name, name == "" && p.isConnected(vm.PID) && p.isAlone(n):
			return "", "" // it was given that name, or took one later and registered it itself
		}
	}
	soon, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	full, _, err := dist.Ask(soon, netip.AddrPortFrom(p.result.Address.Addr(), n.Port))
	short, _, _ := strings.Cut(full, "@")
	switch {
	case errors.Is(err, dist.ErrTLS):
		return "", speaksTLS
	case ctx.Err() != nil:
		return "", notInTime
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s has port %d, where %v listens, which does not say its name", name, n.Port, o), ""
	case err != nil:
		return fmt.Sprintf("%s has port %d, where %v listens, which is no node (%v)", name, n.Port, o, err), ""
	case short != n.Name:
		return fmt.Sprintf("%s has port %d, where %v listens, which is node %s", name, n.Port, o, shell.Quote(full)), ""
	}
	return "", ""
}

// isConnected says that the process has a connection to epmd.
func (p *patient) isConnected(pid int) bool {
	return slices.ContainsFunc(p.connected(), func(h holder) bool { return h.PID == pid })
}

// isAlone says that no other name has that port.
func (p *patient) isAlone(n epmd.Node) bool {
	return !slices.ContainsFunc(p.names, func(o epmd.Node) bool { return o.Port == n.Port && o.Name != n.Name })
}

// lost: nodes that run and that epmd does not know; where none runs, all that should be in one.
func (p *patient) lost(ctx context.Context) Check {
	down := p.err != nil
	if down && p.err.Kind != ensure.KindDown {
		return Check{}
	}
	nodes, epmdless, unseen, err := p.lostNodes(ctx)
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
		said = append(said, "running without epmd, as started (-erl_epmd_port), so not found by name: "+strings.Join(by, ", "))
	}
	if len(lost) > 0 {
		c.Status = Fail
		if down {
			said = append(said, "running without a name, for no epmd answers: "+strings.Join(lost, ", "))
		} else {
			said = append(said, "running, and unknown to epmd: "+strings.Join(lost, ", "))
		}
		if o, known := p.owner(); known && time.Since(o.Since()) < comeBack {
			c.Status = Warn
			said = append(said, "but this epmd is new, and nodes of OTP 23.3 and later come back within 2 s")
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
		c = c.run(p.beamrun().Words("repair"))
	case len(can) > 0:
		c = c.run(p.beamrun().Words("repair").Args(can...))
	}
	return p.asRootSees(c, unseen)
}

// cookiesInPS: cookies that every user of the host can read.
func (p *patient) cookiesInPS(context.Context) Check {
	if len(p.sockets) == 0 && len(p.vms) == 0 {
		return Check{}
	}
	var shown []string
	ofRelease, others := false, false
	for _, vm := range p.vms {
		if !vm.Elsewhere && vmargs.Cookie(vm.Args) != "" {
			name := vmargs.ShortName(vm.Args)
			if name == "" {
				name = vm.Name
			}
			shown = append(shown, fmt.Sprintf("%s (pid %d, user %s)", name, vm.PID, userName(vm.UID)))
			if vmargs.IsRelease(vm.Args) {
				ofRelease = true
			} else {
				others = true
			}
		}
	}
	if len(shown) == 0 {
		return p.asRootSees(ok("none in the arguments of %s%s", count(len(p.vms), "Erlang VM"), notSeen(p.unseenVMs, "VM")), p.unseenVMs)
	}
	var advice []string
	if ofRelease { // which takes no notice of what `beamrun cookie rotate` does
		advice = append(advice, "a release's cookie is in releases/COOKIE, RELEASE_COOKIE or its vm.args: change it there at its next restart;"+
			" the lines for rel/env.sh.eex and vm.args that keep it out of the arguments are in SECURITY.md of beamrun")
	}
	if others {
		advice = append(advice, "at the next planned restart: stop it, beamrun cookie rotate if that is its cookie, and start it without -setcookie, by beamrun")
	}
	return found(Warn, "every user of this host can read the cookie of %s (-setcookie)%s", strings.Join(shown, ", "), notSeen(p.unseenVMs, "VM")).
		advise("%s", strings.Join(advice, "; "))
}
