package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/parse"
	"github.com/beamrun/beamrun/internal/shell"
)

// patient is what several checks look at, asked for once.
type patient struct {
	epmdless bool // nothing of epmd is asked or known

	config  ensure.Config
	result  ensure.Result
	err     *ensure.Error // why no epmd answers
	names   []epmd.Node
	ofPort  map[uint16]int           // how many names have a port
	unnamed error                    // why the names could not be read
	sockets []owner.Socket           // all that listen
	open    map[uint16]bool          // their ports
	on      map[uint16]owner.Process // who has the ports of epmd and of the names
	vms     []owner.Program
	epmds   []owner.Program // of this network namespace

	unseenVMs, unseenEpmds int // that were not looked at

	connected func() []holder // those that have a connection to epmd, but itself and us, by their pids
}

// holder is a process that has a connection to epmd, and so may hold a name.
type holder struct {
	owner.Process
	maker int // the user who made the connection, whoever has it by now
}

func (h holder) String() string {
	if uid, known := h.User(); known && uid != h.maker {
		return fmt.Sprintf("%s (pid %d, user %s, who was given the connection of user %s)",
			shell.Line(h.Name), h.PID, userName(uid), userName(h.maker))
	}
	return h.Process.String()
}

func admit(ctx context.Context, c ensure.Config) *patient {
	p := &patient{config: c, ofPort: map[uint16]int{}}
	var err error
	p.result, err = ensure.Probe(ctx, c)
	errors.As(err, &p.err)
	if err == nil {
		p.names, p.unnamed = epmd.Names(ctx, p.result.Address)
	}
	p.sockets, p.open = owner.Listening(0), owner.Ports()
	wanted := map[uint16]bool{p.port(): true}
	for _, n := range p.names {
		wanted[n.Port] = true
		p.ofPort[n.Port]++
	}
	var of []owner.Socket
	for _, s := range p.sockets {
		if wanted[s.Addr.Port()] {
			of = append(of, s)
		}
	}
	p.on = owner.OfSockets(ctx, of)
	p.connected = sync.OnceValue(func() (all []holder) {
		epmd, _ := p.owner()
		sockets := owner.Connected(p.port())
		of, seen := owner.OfSockets(ctx, sockets), map[holder]bool{}
		for _, s := range sockets {
			h := holder{of[s.Addr.Port()], s.UID}
			if h.PID != 0 && h.PID != epmd.PID && h.PID != os.Getpid() && !seen[h] {
				seen[h] = true
				all = append(all, h)
			}
		}
		slices.SortFunc(all, func(a, b holder) int { return cmp.Or(a.PID-b.PID, a.maker-b.maker) })
		return all
	})
	p.vms, p.unseenVMs = owner.VMs(ctx)
	p.seeEpmds(ctx)
	return p
}

// seeEpmds sorts the epmds into those that could be looked into and the number of the others,
// without the one that was asked: another user's process does not show its port, but the port shows
// its user.
func (p *patient) seeEpmds(ctx context.Context) {
	var all []owner.Program
	all, p.unseenEpmds = owner.Epmds(ctx)
	_, asked := p.owner()
	for _, e := range all {
		has := func(s owner.Socket) bool { return s.Addr.Port() == p.port() && s.UID == e.UID }
		switch {
		case e.Elsewhere:
		case !e.Closed:
			p.epmds = append(p.epmds, e)
		case !asked && slices.ContainsFunc(p.sockets, has):
			asked = true
		default:
			p.unseenEpmds++
		}
	}
}

// admitEpmdless is for a host without epmd.
func admitEpmdless(ctx context.Context) *patient {
	vms, unseen := owner.VMs(ctx)
	return &patient{epmdless: true, sockets: owner.Listening(0), vms: vms, unseenVMs: unseen}
}

func (p *patient) port() uint16 { return p.result.Endpoint.Port }

// mayHaveNodes reports whether nodes are registered, or it is not known.
func (p *patient) mayHaveNodes() bool { return len(p.names) > 0 || p.unnamed != nil }

// mayRun reports whether nodes of this user run, or it is not known: a VM was not looked at, or
// names are registered and no VM is seen.
func (p *patient) mayRun() bool {
	return p.unseenVMs > 0 || len(p.vms) == 0 && p.mayHaveNodes() ||
		slices.ContainsFunc(p.vms, func(vm owner.Program) bool { return vm.UID == os.Geteuid() || os.Geteuid() < 0 })
}

// again adds what ends the epmd and then starts one, by the second command. It is not kill, which
// asks for no nodes, and by then the pid may be another process's: with nodes that come meanwhile,
// `beamrun stop` leaves the epmd alone, and the command ends there. It is words while nodes may be
// registered, for not all would come back. Those of OTP before 23.3 and programs in C never do by
// themselves, and repair gives no name to one of TLS or of another user.
func (p *patient) again(c Check, start shell.Command, more string) Check {
	if more != "" {
		more = "; " + more
	}
	command := p.beamrun().Words("stop").And(start)
	if p.mayHaveNodes() {
		return c.advise("at the next planned restart: end the nodes, then: %v, then start them%s", command, more)
	}
	return c.run(command).advise("%s", strings.TrimPrefix(more, "; "))
}

// isOfHere reports whether the epmd is one of the sockets that the system shows. Of another host or
// another network namespace it does not show who listens.
func (p *patient) isOfHere() bool {
	at := p.result.Address.Addr().Unmap()
	return slices.ContainsFunc(p.sockets, func(s owner.Socket) bool {
		addr := s.Addr.Addr().Unmap()
		return s.Addr.Port() == p.port() && (addr.IsUnspecified() || addr == at)
	})
}

// listens reports whether something listens on the port.
func (p *patient) listens(port uint16) bool { return p.open[port] }

// owner is the process that has epmd's port.
func (p *patient) owner() (owner.Process, bool) {
	o, ok := p.on[p.port()]
	return o, ok
}

// beamrun is the beginning of a command of beamrun's for the same endpoint.
func (p *patient) beamrun() shell.Command {
	c := shell.New("beamrun")
	if p.config.Port != 0 {
		c = c.Words("--port").Int(int(p.config.Port))
	}
	if len(p.config.Addresses) > 0 {
		c = c.Words("--address").Arg(parse.Join(p.config.Addresses))
	}
	if p.config.Local {
		c = c.Words("--local")
	}
	return c
}

// asRoot is a command that needs root's rights.
func asRoot(c shell.Command) shell.Command {
	if os.Geteuid() == 0 {
		return c
	}
	return c.Sudo()
}

// userName is the name of a user, else the number.
func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Sprintf("uid %d", uid)
	}
	return u.Username
}

// lostNodes are those that should have a name and have none, or did without; how many need none;
// and how many VMs were not looked at.
func (p *patient) lostNodes(ctx context.Context) (found []orphan.Node, epmdless, unseen int, err error) {
	var all []orphan.Node
	if p.err == nil {
		all, unseen, err = orphan.Find(ctx, p.result.Address)
	} else if addr, perr := netip.ParseAddrPort(p.result.Endpoint.String()); perr == nil {
		all, unseen = orphan.FindAll(ctx, addr)
	}
	for _, n := range all {
		if n.Problem != nil && n.Problem.Kind == orphan.KindEpmdless {
			epmdless++
		}
		if n.Lost() || n.ByChoice && n.Problem == nil {
			found = append(found, n)
		}
	}
	return found, epmdless, unseen, err
}

// notSeen says that some programs were not looked at, so that nothing is claimed of them; "" if
// there are none. repair has the same words.
func notSeen(n int, what string) string {
	switch {
	case n == 0:
		return ""
	case os.Geteuid() == 0:
		return fmt.Sprintf("; %s could not be looked at", count(n, what))
	case n == 1:
		return fmt.Sprintf("; 1 %s of other users was not looked at", what)
	}
	return fmt.Sprintf("; %d %ss of other users were not looked at", n, what)
}

// asRootSees adds, for what was not looked at, who can.
func (p *patient) asRootSees(c Check, unseen int) Check {
	if unseen == 0 || os.Geteuid() == 0 || c.Command+c.Advice != "" {
		return c
	}
	return c.advise("root sees more: %v", p.beamrun().Words("doctor").Sudo())
}

func ok(format string, args ...any) Check { return found(OK, format, args...) }

func found(s Status, format string, args ...any) Check {
	return Check{Status: s, Evidence: shell.Line(fmt.Sprintf(format, args...))}
}

// run adds the command that is the fix, with that is none nothing.
func (c Check) run(command shell.Command) Check {
	c.Command = cmp.Or(command.String(), c.Command)
	return c
}

// advise adds words.
func (c Check) advise(format string, args ...any) Check {
	c.Advice = cmp.Or(shell.Line(fmt.Sprintf(format, args...)), c.Advice)
	return c
}
