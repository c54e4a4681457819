package ensure

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/internal/owner"
	"github.com/beamrun/beamrun/ensure/orphan"
)

const (
	// lookEvery is how often a Watch looks whether epmd lives, and lookPatience how long it waits for a reply before it looks
	// closer: together below a second. Where the system tells its end (see owner.Follow), a look costs a fifth of asking epmd.
	lookEvery    = 800 * time.Millisecond
	lookPatience = 100 * time.Millisecond

	// namesEvery is how often it asks for the names. That costs epmd a packet for each: on a host where every node has a
	// Watch the cost grows with the square of their number.
	namesEvery = 5 * time.Second

	// comeBack is how long a node may take to register again by itself: from 23.3 on, OTP tries every 2 s, and may be in vain
	// the first time.
	comeBack = 5 * time.Second

	// repairTimeout bounds the time in which the lost nodes are told to register: nothing is watched meanwhile.
	repairTimeout = 3 * time.Second

	// maxRetry is the longest wait after a failure to have an epmd; they grow from lookEvery.
	maxRetry = 5 * time.Second
)

// Watch is how to keep an epmd alive. The zero value does it for the endpoint of the zero Config.
type Watch struct {
	// Config says which epmd is meant.
	Config Config

	// Notify is told what happened, one Event after the other, and should not take long: nothing is watched meanwhile.
	// Nil: nobody is told.
	Notify func(Event)
}

// Event is something that a [Watch] saw: an error, nodes without their names, or else that epmd answers again.
type Event struct {
	// Result is that of the call of [Epmd] which made sure of it again; Started says whether it was this process that
	// started one.
	Result Result

	// Err says why there is no working epmd, as that of [Epmd]. The Watch tries again, and tells of the next error when it
	// is of another Kind.
	Err error

	// Lost are nodes that run (something listens where they did) and that epmd did not know any more: they were
	// registered while this Watch looked, and have not come back by themselves within 5 s. Before 23.3 OTP never
	// registers a node again. Each has been told to, see package orphan, and is told of once.
	Lost []LostNode
}

// LostNode is a node that had lost its name.
type LostNode struct {
	epmd.Node
	Err error // why it could not be registered again, an *[orphan.Error] most often; nil: it has its name again
}

// Run keeps the epmd alive until the context ends. When it is gone Run calls [Epmd]: at once on Linux where it is this user's
// or this user is root, else within a second. There, too, one that is stopped (SIGSTOP) is woken within a second. No other
// epmd is touched: one that hangs for another reason is an error, as for [Epmd], seen within five seconds (where Run can't
// tell its end, within one), and Run waits for its end or its answer.
func (w Watch) Run(ctx context.Context) {
	s := watch{Watch: w, names: nameBook{known: map[string]knownName{}}}
	defer s.forget()
	waits := backoff.NewExponentialBackOff(backoff.WithInitialInterval(lookEvery), backoff.WithRandomizationFactor(0),
		backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
	for {
		wait := lookEvery
		if s.hasEnded() || !s.look(ctx) {
			if s.ensure(ctx) {
				waits.Reset()
			} else {
				wait = waits.NextBackOff()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-s.gone():
			// one that ends again and again is not started much more often than once a second
			sleep(ctx, time.Until(s.started.Add(lookEvery)))
		}
		if ctx.Err() != nil {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// watch is the state of a Watch that runs.
type watch struct {
	Watch
	addr    netip.AddrPort  // where it answered last; not valid: it does not answer
	epmd    *owner.Followed // nil: nobody tells which process it is
	failed  Kind            // of the error that was told last, "" when all is well
	woken   bool            // it was stopped, and was woken
	started time.Time       // when the last one was started here
	names   nameBook
}

// forget ends the wait for the end of that epmd.
func (s *watch) forget() {
	if s.epmd != nil {
		s.epmd.Close()
	}
	s.epmd = nil
}

// gone is closed when that epmd has ended.
func (s *watch) gone() <-chan struct{} {
	if s.epmd == nil {
		return nil
	}
	return s.epmd.Gone
}

func (s *watch) notify(e Event) {
	if s.Notify != nil {
		s.Notify(e)
	}
}

// look says whether the epmd is well. From time to time, and while a name is missing, it looks at the names.
func (s *watch) look(ctx context.Context) bool {
	if !s.addr.IsValid() {
		return false
	}
	if s.epmd != nil && s.epmd.Name == "epmd" && s.epmd.Wake() {
		s.woken = true
		return false
	}
	if s.names.due() {
		soon, cancel := context.WithTimeout(ctx, lookPatience)
		nodes, err := epmd.Names(soon, s.addr.String())
		cancel()
		if err != nil {
			return false
		}
		if lost := s.names.update(nodes, s.addr.Addr()); len(lost) > 0 {
			s.notify(Event{Lost: s.repair(ctx, lost)})
		}
		return true
	}
	return s.epmd != nil || epmd.Alive(ctx, s.addr, lookPatience) == nil
}

// repair gives the nodes their names back, each with its own cookie.
func (s *watch) repair(ctx context.Context, nodes []epmd.Node) (lost []LostNode) {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	defer cancel()
	found, _, err := orphan.Find(ctx, s.addr)
	if err == nil {
		err = errUnseen
	}
	for _, n := range nodes {
		l := LostNode{n, err}
		for _, f := range found {
			if f.Addr.Port() == n.Port && f.UID == os.Geteuid() {
				l.Err = f.RegisterItself(ctx, s.addr)
			}
		}
		if l.Err == nil { // else it is told of once
			s.names.known[n.Name] = knownName{port: n.Port}
		}
		lost = append(lost, l)
	}
	return lost
}

var errUnseen = errors.New("nobody tells which process it is")

// ensure makes sure of the epmd again.
func (s *watch) ensure(ctx context.Context) bool {
	wasAway := s.failed != "" || s.woken || s.hasEnded()
	s.woken = false
	s.forget()
	res, err := Epmd(ctx, s.Config)
	if ctx.Err() != nil {
		return false
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Kind != s.failed {
			s.notify(Event{Result: res, Err: err})
		}
		s.addr, s.failed = netip.AddrPort{}, e.Kind
		return false
	}
	s.epmd = owner.Follow(int(res.Address.Port()))
	s.addr, s.failed = res.Address, ""
	if res.Started {
		s.started = time.Now()
	}
	if res.Started || wasAway { // else it was only slow
		s.names.restart()
		s.notify(Event{Result: res})
	}
	return true
}

func (s *watch) hasEnded() bool {
	select {
	case <-s.gone():
		return true
	default:
		return false
	}
}

// nameBook remembers which nodes were registered.
type nameBook struct {
	known   map[string]knownName
	asked   time.Time // when update was called last
	missing bool      // one of the known is not registered
}

type knownName struct {
	port   uint16
	missed time.Time // since when it is not registered; zero: it is
}

// restart is called for a new epmd: a node has to come back to that one.
func (b *nameBook) restart() {
	b.asked = time.Time{}
	for name, k := range b.known {
		b.known[name] = knownName{port: k.port}
	}
}

func (b *nameBook) due() bool { return b.missing || time.Since(b.asked) >= namesEvery }

// update takes what is registered now and returns the nodes that run and will not come back by themselves.
func (b *nameBook) update(nodes []epmd.Node, addr netip.Addr) (lost []epmd.Node) {
	now := time.Now()
	b.asked, b.missing = now, false
	registered := make(map[string]bool, len(nodes))
	for _, n := range nodes {
		registered[n.Name] = true
		b.known[n.Name] = knownName{port: n.Port}
	}
	for name, k := range b.known {
		switch {
		case registered[name]:
			continue
		case k.missed.IsZero():
			k.missed = now
			b.known[name] = k
		case now.Sub(k.missed) >= comeBack:
			if listens(netip.AddrPortFrom(addr, k.port)) {
				lost = append(lost, epmd.Node{Name: name, Port: k.port})
			}
			delete(b.known, name)
			continue
		}
		b.missing = true
	}
	slices.SortFunc(lost, func(a, b epmd.Node) int { return int(a.Port) - int(b.Port) })
	return lost
}

// listens says whether something accepts connections there.
func listens(addr netip.AddrPort) bool {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(addr.Addr().String(), strconv.Itoa(int(addr.Port()))), patience)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
