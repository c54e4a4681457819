package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/internal/owner"
	"github.com/beamrun/beamrun/ensure/orphan"
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

	connected func() []owner.Process // those that have a connection to epmd, but itself and us, by their pids
}

func admit(ctx context.Context, c ensure.Config) *patient {
	p := &patient{config: c, ofPort: map[uint16]int{}}
	var err error
	p.result, err = ensure.Probe(ctx, c)
	errors.As(err, &p.err)
	if err == nil {
		p.names, p.unnamed = epmd.Names(ctx, p.result.Address.String())
	}
	p.sockets, p.open = owner.Listening(0), owner.Ports()
	wanted := map[uint16]bool{uint16(p.port()): true}
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
	p.connected = sync.OnceValue(func() (all []owner.Process) {
		epmd, _ := p.owner()
		for _, o := range owner.ByMakers(ctx, owner.Connected(p.port())) {
			if o.PID != epmd.PID && o.PID != os.Getpid() && !slices.Contains(all, o) {
				all = append(all, o)
			}
		}
		slices.SortFunc(all, func(a, b owner.Process) int { return a.PID - b.PID })
		return all
	})
	p.vms, _ = owner.VMs(ctx)
	epmds, _ := owner.Epmds(ctx)
	for _, e := range epmds {
		if !e.Closed && !e.Elsewhere {
			p.epmds = append(p.epmds, e)
		}
	}
	return p
}

// admitEpmdless is for a host without epmd.
func admitEpmdless(ctx context.Context) *patient {
	vms, _ := owner.VMs(ctx)
	return &patient{epmdless: true, sockets: owner.Listening(0), vms: vms}
}

func (p *patient) port() int { return p.result.Endpoint.Port }

// mayHaveNodes reports whether nodes are registered, or it is not known.
func (p *patient) mayHaveNodes() bool { return len(p.names) > 0 || p.unnamed != nil }

// isOfHere reports whether the epmd is one of the sockets that the system shows. Of another host or
// another network namespace it does not show who listens.
func (p *patient) isOfHere() bool {
	at := p.result.Address.Addr().Unmap()
	return slices.ContainsFunc(p.sockets, func(s owner.Socket) bool {
		addr := s.Addr.Addr().Unmap()
		return int(s.Addr.Port()) == p.port() && (addr.IsUnspecified() || addr == at)
	})
}

// listens reports whether something listens on the port.
func (p *patient) listens(port uint16) bool { return p.open[port] }

// owner is the process that has epmd's port.
func (p *patient) owner() (owner.Process, bool) {
	o, ok := p.on[uint16(p.port())]
	return o, ok
}

// beamrun is the beginning of a command of beamrun's for the same endpoint.
func (p *patient) beamrun() shell.Command {
	c := shell.New("beamrun")
	if p.config.Port != 0 {
		c = c.Words("--port").Int(p.config.Port)
	}
	if p.config.Address != "" {
		c = c.Words("--address").Arg(p.config.Address)
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

// lostNodes are those of orphan.Find that should have a name and have none, or did without; how many need none; and how many VMs were not
// looked at.
func (p *patient) lostNodes(ctx context.Context) (found []orphan.Node, epmdless, unseen int, err error) {
	all, unseen, err := orphan.Find(ctx, p.result.Address)
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
