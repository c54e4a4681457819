package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/internal/owner"
	"github.com/beamrun/beamrun/ensure/orphan"
)

// comeBack is how long a node may take to register with a new epmd by itself.
const comeBack = 3 * time.Second

// askTimeout is how long a node may take to say its name.
const askTimeout = time.Second

// registered: names whose port nobody listens on, or another process has.
func (p *patient) registered(ctx context.Context) Check {
	if p.err != nil || len(p.sockets) == 0 {
		return Check{}
	}
	var wrong []string
	nodes := map[int]bool{} // the pids of those that have their names rightly
	for _, n := range p.names {
		if why := p.mistake(ctx, n); why != "" {
			wrong = append(wrong, why)
		} else {
			nodes[p.on[n.Port].PID] = true
		}
	}
	if len(wrong) == 0 {
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
		return c.with("", fmt.Sprintf("it is held by a connection to epmd; see as root whose: ss -tnp 'dport = :%d'", p.port()))
	case len(holders) > len(wrong), slices.ContainsFunc(holders, isVM):
		return c.with("", "start anew, or end, who holds it by a connection to epmd: "+list(holders))
	}
	pids := ""
	for _, h := range holders {
		pids += fmt.Sprintf(" %d", h.PID)
	}
	c.Evidence += "; held by " + list(holders)
	return c.with("kill"+pids, "")
}

// mistake says what is wrong with a name, "" if nothing is. A node is asked for its name only where the system does not tell.
func (p *patient) mistake(ctx context.Context, n epmd.Node) string {
	if !p.listens(n.Port) {
		if now, err := epmd.Lookup(ctx, p.result.Address.String(), n.Name); err != nil || now.Port != n.Port {
			return "" // it has ended meanwhile
		}
		return fmt.Sprintf("%s is stale: nobody listens on its port %d", n.Name, n.Port)
	}
	o, known := p.on[n.Port]
	if !known {
		return "" // another user's, and only root sees whose
	}
	for _, vm := range p.vms {
		if vm.PID != o.PID {
			continue
		}
		switch name := orphan.NameOf(vm.Args); {
		case name == n.Name, name == "" && p.isConnected(vm.PID) && p.isAlone(n):
			return "" // it was given that name, or took one later and registered it itself
		}
	}
	soon, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	name, _, err := orphan.Ask(soon, netip.AddrPortFrom(p.result.Address.Addr(), n.Port))
	short, _, _ := strings.Cut(name, "@")
	switch {
	case orphan.IsTLS(err), ctx.Err() != nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s has port %d, where %v listens, which does not say its name", n.Name, n.Port, o)
	case err != nil:
		return fmt.Sprintf("%s has port %d, where %v listens, which is no node (%v)", n.Name, n.Port, o, err)
	case short != n.Name:
		return fmt.Sprintf("%s has port %d, where %v listens, which is node %s", n.Name, n.Port, o, name)
	}
	return ""
}

// isConnected says that the process has a connection to epmd.
func (p *patient) isConnected(pid int) bool {
	return slices.ContainsFunc(p.connected(), func(o owner.Process) bool { return o.PID == pid })
}

// isAlone says that no other name has that port.
func (p *patient) isAlone(n epmd.Node) bool {
	return !slices.ContainsFunc(p.names, func(o epmd.Node) bool { return o.Port == n.Port && o.Name != n.Name })
}

// lost: nodes that run and that epmd does not know.
func (p *patient) lost(ctx context.Context) Check {
	if p.err != nil {
		return Check{}
	}
	nodes, epmdless, err := p.lostNodes(ctx)
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
		can = append(can, n.Name)
	}
	c := ok("none: epmd knows every node of this host that could be seen")
	if epmdless > 0 {
		c.Evidence += ", but for those that do without it"
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
		c.Evidence = strings.Join(said, "; ")
	}
	if len(can) > 0 {
		c.Command = p.beamrun("repair " + strings.Join(can, " "))
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
		with("", "start it without -setcookie, by beamrun; for releases see SECURITY.md of beamrun; then: beamrun cookie rotate")
}
