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

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/internal/owner"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/shell"
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
	holders := slices.DeleteFunc(slices.Clone(p.connected()), func(o owner.Process) bool { return nodes[o.PID] })
	isVM := func(o owner.Process) bool {
		return slices.ContainsFunc(p.vms, func(vm owner.Program) bool { return vm.PID == o.PID })
	}
	switch {
	case len(holders) == 0:
		who := shell.New("ss", "-tnp").Option("dport = :", strconv.Itoa(p.port()))
		c = c.advise("it is held by a connection to epmd; see as root by which process: %v", who)
	case len(holders) > len(wrong), slices.ContainsFunc(holders, isVM):
		c = c.advise("start anew, or end, who holds it by a connection to epmd: %s", list(holders))
	default:
		kill := shell.New("kill")
		for _, h := range holders {
			kill = kill.Int(h.PID)
		}
		c.Evidence += "; held by " + list(holders)
		c = c.run(kill)
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
	if ctx.Err() != nil { // there may be very many
		return "", notInTime
	}
	name := shell.Quote(n.Name) // anybody may register any
	if !p.listens(n.Port) {
		now, err := epmd.Lookup(ctx, p.result.Address.String(), n.Name)
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
		switch name := orphan.NameOf(vm.Args); {
		case name == n.Name, name == "" && p.isConnected(vm.PID) && p.isAlone(n):
			return "", "" // it was given that name, or took one later and registered it itself
		}
	}
	soon, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	full, _, err := orphan.Ask(soon, netip.AddrPortFrom(p.result.Address.Addr(), n.Port))
	short, _, _ := strings.Cut(full, "@")
	switch {
	case orphan.IsTLS(err):
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
	return slices.ContainsFunc(p.connected(), func(o owner.Process) bool { return o.PID == pid })
}

// isAlone says that no other name has that port.
func (p *patient) isAlone(n epmd.Node) bool { return p.ofPort[n.Port] == 1 }

// lost: nodes that run and that epmd does not know.
func (p *patient) lost(ctx context.Context) Check {
	if p.err != nil {
		return Check{}
	}
	nodes, epmdless, unseen, err := p.lostNodes(ctx)
	if err != nil {
		return found(Warn, "%v", err)
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
	if epmdless > 0 {
		c.Evidence += ", but for those that do without it"
	}
	if unseen > 0 && os.Geteuid() == 0 { // root sees all but what the limits, or the time, left out
		c.Status = Warn
		c.Evidence = fmt.Sprintf("epmd knows every node that was looked at; %s could not be looked at", count(unseen, "Erlang VM"))
	}
	var said []string
	if len(by) > 0 {
		c.Status = Warn
		said = append(said, "running without epmd, as started (-erl_epmd_port), so not found by name: "+strings.Join(by, ", "))
	}
	if len(lost) > 0 {
		c.Status = Fail
		said = append(said, "running, and unknown to epmd: "+strings.Join(lost, ", "))
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
		c.Evidence = shell.Line(strings.Join(said, "; "))
	}
	if unseen > 0 && len(said) > 0 && os.Geteuid() == 0 {
		c.Evidence += fmt.Sprintf("; %s could not be looked at", count(unseen, "Erlang VM"))
	}
	if len(can) > 0 {
		c = c.run(p.beamrun().Words("repair").Args(can...))
	}
	return c
}

// cookiesInPS: cookies that every user of the host can read.
func (p *patient) cookiesInPS(context.Context) Check {
	if len(p.sockets) == 0 && len(p.vms) == 0 {
		return Check{}
	}
	var shown []string
	for _, vm := range p.vms {
		if !vm.Elsewhere && orphan.ShowsCookie(vm.Args) {
			name := orphan.NameOf(vm.Args)
			if name == "" {
				name = vm.Name
			}
			shown = append(shown, fmt.Sprintf("%s (pid %d, user %s)", name, vm.PID, userName(vm.UID)))
		}
	}
	if len(shown) == 0 {
		return ok("none in the arguments of %s", count(len(p.vms), "Erlang VM"))
	}
	return found(Warn, "every user of this host can read the cookie of %s (-setcookie)", strings.Join(shown, ", ")).
		advise("start it without -setcookie, by beamrun; for releases see SECURITY.md of beamrun; then: beamrun cookie rotate")
}
