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
	"github.com/beamrun/beamrun/internal/shell"
)

// host is what several checks look at, asked for once.
type host struct {
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

	connected func() []holder // to epmd, but itself and this process, by their pids
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

// look asks epmd and the system for all that several checks need.
func look(ctx context.Context, c Config) *host {
	h := &host{epmdless: c.Epmdless, ofPort: map[uint16]int{}}
	if c.Epmdless {
		h.sockets = owner.Listening(0)
		h.vms, h.unseenVMs = owner.VMs(ctx)
		return h
	}
	h.config = c.Epmd
	var err error
	h.result, err = ensure.Probe(ctx, c.Epmd)
	errors.As(err, &h.err)
	if err == nil {
		h.names, h.unnamed = epmd.Names(ctx, h.result.Address)
	}
	h.sockets, h.open = owner.Listening(0), owner.Ports()
	wanted := map[uint16]bool{h.port(): true}
	for _, n := range h.names {
		wanted[n.Port] = true
		h.ofPort[n.Port]++
	}
	var of []owner.Socket
	for _, s := range h.sockets {
		if wanted[s.Addr.Port()] {
			of = append(of, s)
		}
	}
	h.on = owner.OfSockets(ctx, of)
	h.connected = sync.OnceValue(func() (all []holder) {
		epmd, _ := h.owner()
		sockets := owner.Connected(h.port())
		of, seen := owner.OfSockets(ctx, sockets), map[holder]bool{}
		for _, s := range sockets {
			who := holder{of[s.Addr.Port()], s.UID}
			if who.PID != 0 && who.PID != epmd.PID && who.PID != os.Getpid() && !seen[who] {
				seen[who] = true
				all = append(all, who)
			}
		}
		slices.SortFunc(all, func(a, b holder) int { return cmp.Or(a.PID-b.PID, a.maker-b.maker) })
		return all
	})
	h.vms, h.unseenVMs = owner.VMs(ctx)
	h.seeEpmds(ctx)
	return h
}

// seeEpmds sorts the epmds into those that could be looked into and the number of the others,
// without the one that was asked: another user's process does not show its port, but the port shows
// its user.
func (h *host) seeEpmds(ctx context.Context) {
	var all []owner.Program
	all, h.unseenEpmds = owner.Epmds(ctx)
	_, asked := h.owner()
	for _, e := range all {
		has := func(s owner.Socket) bool { return s.Addr.Port() == h.port() && s.UID == e.UID }
		switch {
		case e.Elsewhere:
		case !e.Closed:
			h.epmds = append(h.epmds, e)
		case !asked && slices.ContainsFunc(h.sockets, has):
			asked = true
		default:
			h.unseenEpmds++
		}
	}
}

func (h *host) port() uint16 { return h.result.Endpoint.Port }

// mayHaveNodes reports whether nodes are registered, or it is not known.
func (h *host) mayHaveNodes() bool { return len(h.names) > 0 || h.unnamed != nil }

// mayRun reports whether nodes of this user run, or it is not known: a VM was not looked at, or
// names are registered and no VM is seen.
func (h *host) mayRun() bool {
	return h.unseenVMs > 0 || len(h.vms) == 0 && h.mayHaveNodes() ||
		slices.ContainsFunc(h.vms, func(vm owner.Program) bool {
			return vm.UID == os.Geteuid() || os.Geteuid() < 0
		})
}

// again adds what ends the epmd and then starts one, by the second command. It is not kill, which
// asks for no nodes, and by then the pid may be another process's: with nodes that come meanwhile,
// `beamrun stop` leaves the epmd alone, and the command ends there. It is words while nodes may be
// registered, for not all would come back. Those of OTP before 23.3 and programs in C never do by
// themselves, and repair gives no name to one of TLS or of another user.
func (h *host) again(c Check, start shell.Command, more string) Check {
	if more != "" {
		more = "; " + more
	}
	command := h.stopCommand().And(start)
	if h.mayHaveNodes() {
		return c.advise("at the next planned restart: end the nodes, then: %v, then start them%s",
			command, more)
	}
	return c.run(command).advise("%s", strings.TrimPrefix(more, "; "))
}

// isOfHere reports whether the epmd is one of the sockets that the system shows. Of another host or
// another network namespace it does not show who listens.
func (h *host) isOfHere() bool {
	at := h.result.Address.Addr().Unmap()
	return slices.ContainsFunc(h.sockets, func(s owner.Socket) bool {
		addr := s.Addr.Addr().Unmap()
		return s.Addr.Port() == h.port() && (addr.IsUnspecified() || addr == at)
	})
}

// listens reports whether something listens on the port.
func (h *host) listens(port uint16) bool { return h.open[port] }

// owner is the process that has epmd's port.
func (h *host) owner() (owner.Process, bool) {
	o, ok := h.on[h.port()]
	return o, ok
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
func (h *host) lostNodes(ctx context.Context) (
	found []orphan.Node, epmdless, unseen int, err error,
) {
	var all []orphan.Node
	if h.err == nil {
		all, unseen, err = orphan.Find(ctx, h.result.Address)
	} else if addr, perr := netip.ParseAddrPort(h.result.Endpoint.String()); perr == nil {
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

// notSeen returns that n programs were not looked at, so that nothing is claimed of them; "" if
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
func (h *host) asRootSees(c Check, unseen int) Check {
	if unseen == 0 || os.Geteuid() == 0 || c.Command+c.Advice != "" {
		return c
	}
	return c.advise("root sees more: %v", h.doctorCommand().Sudo())
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
