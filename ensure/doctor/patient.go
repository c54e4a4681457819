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
	"strings"
	"sync"
	"unicode"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/internal/owner"
	"github.com/beamrun/beamrun/ensure/orphan"
)

// patient is what several checks look at, asked for once.
type patient struct {
	epmdless bool // nothing of epmd is asked or known

	config  ensure.Config
	result  ensure.Result
	err     *ensure.Error // why no epmd answers
	names   []epmd.Node
	sockets []owner.Socket           // all that listen
	on      map[uint16]owner.Process // who has the ports of epmd and of the names
	vms     []owner.Program
	epmds   []owner.Program // of this network namespace

	connected func() []owner.Process // those that have a connection to epmd, but itself and us, by their pids
}

func admit(ctx context.Context, c ensure.Config) *patient {
	p := &patient{config: c}
	var err error
	p.result, err = ensure.Probe(ctx, c)
	errors.As(err, &p.err)
	if err == nil {
		p.names, _ = epmd.Names(ctx, p.result.Address.String()) // it answered a moment ago
	}
	p.sockets = owner.Listening(0)
	wanted := map[uint16]bool{uint16(p.port()): true}
	for _, n := range p.names {
		wanted[n.Port] = true
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
		for _, o := range owner.OfSockets(ctx, owner.Connected(p.port())) {
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

// listens says whether something listens on the port.
func (p *patient) listens(port uint16) bool {
	for _, s := range p.sockets {
		if s.Addr.Port() == port {
			return true
		}
	}
	return false
}

// owner is the process that has epmd's port.
func (p *patient) owner() (owner.Process, bool) {
	o, ok := p.on[uint16(p.port())]
	return o, ok
}

// beamrun is a command of beamrun's for the same endpoint.
func (p *patient) beamrun(words string) string {
	c := "beamrun"
	if p.config.Port != 0 {
		c += " --port " + strconv.Itoa(p.config.Port)
	}
	if p.config.Address != "" {
		c += " --address " + quoted(p.config.Address)
	}
	if p.config.Local {
		c += " --local"
	}
	return c + " " + words
}

// quoted makes one word of a shell from s.
func quoted(s string) string {
	if strings.IndexFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_-./:@%+=,~", r)
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// asRoot is a command that needs root's rights.
func asRoot(command string) string {
	if os.Geteuid() == 0 {
		return command
	}
	return "sudo " + command
}

// userName is the name of a user, else the number.
func userName(uid int) string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return fmt.Sprintf("uid %d", uid)
	}
	return u.Username
}

// lostNodes are those of orphan.Find that should have a name and have none, or did without; and how many need none.
func (p *patient) lostNodes(ctx context.Context) (found []orphan.Node, epmdless int, err error) {
	all, _, err := orphan.Find(ctx, p.result.Address)
	for _, n := range all {
		if n.Problem != nil && n.Problem.Kind == orphan.KindEpmdless {
			epmdless++
		}
		if n.Lost() || n.ByChoice && n.Problem == nil {
			found = append(found, n)
		}
	}
	return found, epmdless, err
}

func ok(format string, args ...any) Check { return found(OK, format, args...) }

func found(s Status, format string, args ...any) Check {
	return Check{Status: s, Evidence: fmt.Sprintf(format, args...)}
}

// with adds what mends it.
func (c Check) with(command, advice string) Check {
	c.Command, c.Advice = cmp.Or(command, c.Command), cmp.Or(advice, c.Advice)
	return c
}
