// Package watch keeps an epmd alive while a program runs.
package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/orphan"
	"github.com/beamrun/beamrun/internal/owner"
)

const (
	// lookEvery is how often a watch looks whether epmd lives, and lookPatience how long it waits
	// for a reply before it looks closer: together below a second. Where the system tells its end
	// (see owner.Follow), a look costs a fifth of asking epmd.
	lookEvery    = 800 * time.Millisecond
	lookPatience = 100 * time.Millisecond

	// lookBlind is lookEvery where the system does not tell its end, and gonePatience how long a
	// probe waits for one that is known to be gone: with lookPatience they stay below a second, in
	// which it is back, or it is told who has its port.
	lookBlind    = 400 * time.Millisecond
	gonePatience = 400 * time.Millisecond

	// lookAgain is when it looks at one that was just started: somebody may have all of its
	// connections by then.
	lookAgain = 200 * time.Millisecond

	// namesEvery is how often it asks for the names. That costs epmd a packet for each: on a host
	// where every node has a watch, the cost grows with the square of their number.
	namesEvery = 5 * time.Second

	// comeBack is how long a node may take to register again by itself: from 23.3 on, OTP tries
	// every 2 s, and may be in vain the first time.
	comeBack = 5 * time.Second

	// repairTimeout bounds the time in which the lost nodes are told to register.
	repairTimeout = 3 * time.Second

	// maxRetry is the longest wait after a failure to have an epmd; they grow from lookEvery.
	maxRetry = 5 * time.Second
)

// Kind is what an [Event] is about.
type Kind string

const (
	KindUp     Kind = "up"     // epmd was gone, stopped or in error, and answers again
	KindFailed Kind = "failed" // there is no working epmd
	KindLost   Kind = "lost"   // nodes had lost their names
)

// Event is what was seen and done.
type Event struct {
	Kind Kind

	// Result is that of the last call of [ensure.Epmd]. Of KindUp, Started tells whether this
	// process started the epmd.
	Result ensure.Result

	// Err is why there is no working epmd, of KindFailed: the error of [ensure.Epmd], also if the
	// list of names is not as epmd writes it. The next attempt follows, and the next error of
	// another kind is told of too.
	Err error

	// Lost are nodes of this user, of KindLost. They run (something listens where they did), were
	// registered before, and have not registered again by themselves within 5 s. Before 23.3 OTP
	// never registers a node again. Each was told to, see package orphan, and is told of once.
	//
	// On Linux, names whose port is another user's are not remembered, whoever this user is;
	// elsewhere no system tells the owner of a port. At most 4,096 names are remembered, and 16 of
	// one port.
	Lost []LostNode
}

// LostNode is a node that had lost its name.
type LostNode struct {
	epmd.Node

	// Err is why it could not be registered again, most often an *[orphan.Problem]. Nil: it has its
	// name again.
	Err error
}

// Run keeps the epmd alive until the context ends. When it is gone Run calls [ensure.Epmd]: at once
// on Linux where it is this user's or this user is root, else within a second. There, too, one that
// is stopped (SIGSTOP) is woken within a second. No other epmd is touched: one that hangs for
// another reason is an error, as for [ensure.Epmd], seen within seven seconds, and Run waits for
// its end or its answer. If another program takes the port of one that has ended, or all of the
// connections of the next one, that is an error within a second.
//
// Lost nodes are repaired beside that, and their repair ends when epmd does.
//
// Notify gets one Event after the other, and should not take long: nothing is watched meanwhile.
// If nil, events are dropped.
func Run(ctx context.Context, c ensure.Config, notify func(Event)) {
	s := state{
		config: c, tell: notify, names: nameBook{known: map[string]knownName{}},
		repairs: make(chan repair, 1), stopRepair: func() {},
	}
	defer s.forget()
	defer func() { s.stopRepair() }()
	waits := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(lookEvery), backoff.WithRandomizationFactor(0),
		backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
	for {
		wait := lookEvery
		if s.epmd == nil {
			wait = lookBlind
		}
		if s.hasEnded() || !s.look(ctx) {
			if s.ensure(ctx) {
				waits.Reset()
				if time.Since(s.started) < lookEvery {
					wait = lookAgain
				}
			} else {
				wait = waits.NextBackOff()
			}
		}
		s.wait(ctx, wait)
		if ctx.Err() != nil {
			return
		}
	}
}

// wait waits for the next look, or for a reason to look earlier.
func (s *state) wait(ctx context.Context, d time.Duration) {
	next := time.After(d)
	for {
		select {
		case <-ctx.Done():
			return
		case <-next:
			return
		case s.epmd = <-s.following:
			s.following = nil
		case r := <-s.repairs:
			s.repaired(r)
		case <-s.gone():
			s.stopRepair()
			// one that ends again and again is not started much more often than once a second
			sleep(ctx, time.Until(s.started.Add(lookEvery)))
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

// state is what a [Run] knows.
type state struct {
	config ensure.Config
	tell   func(Event)
	result ensure.Result   // of the last call of Epmd that found it
	addr   netip.AddrPort  // where it answered last; not valid: it does not answer
	epmd   *owner.Followed // nil: it is not known which process it is, or not yet

	following chan *owner.Followed // has it, once it is known; nil: nothing is waited for

	failed  ensure.Kind // of the error that was told last, "" when all is well
	woken   bool        // it was stopped, and was woken
	started time.Time   // when the last one was started here
	names   nameBook

	repairing  bool
	stopRepair context.CancelFunc // of the one that runs
	repairs    chan repair        // has the one that ran
}

// follow finds out which process it is. On a host with many processes that takes a while, and
// nothing waits for the rest of it.
func (s *state) follow(ctx context.Context) {
	s.following = make(chan *owner.Followed, 1)
	found, port := s.following, s.addr.Port()
	go func() { found <- owner.Follow(port) }()
	select {
	case <-ctx.Done():
	case <-time.After(owner.Patience):
	case s.epmd = <-s.following:
		s.following = nil
	}
}

// forget ends the wait for the end of that epmd.
func (s *state) forget() {
	if s.following != nil {
		go func(found <-chan *owner.Followed) {
			if f := <-found; f != nil {
				f.Close()
			}
		}(s.following)
	}
	if s.epmd != nil {
		s.epmd.Close()
	}
	s.epmd, s.following = nil, nil
}

// gone is closed when that epmd has ended.
func (s *state) gone() <-chan struct{} {
	if s.epmd == nil {
		return nil
	}
	return s.epmd.Gone
}

func (s *state) notify(e Event) {
	if s.tell != nil {
		s.tell(e)
	}
}

// look reports whether the epmd is there and answers. From time to time, and while a name is
// missing, it looks at the names.
func (s *state) look(ctx context.Context) bool {
	if !s.addr.IsValid() {
		return false
	}
	if s.epmd != nil && s.epmd.Name == "epmd" && s.epmd.Wake() {
		s.woken = true
		return false
	}
	if s.names.due() {
		soon, cancel := context.WithTimeout(ctx, lookPatience)
		nodes, err := epmd.Names(soon, s.addr)
		cancel()
		if errors.Is(err, epmd.ErrNotEpmd) {
			return s.garbled(err)
		}
		if err != nil {
			return false
		}
		if s.failed != "" { // it was garbled
			s.failed = ""
			s.notify(Event{Kind: KindUp, Result: s.result})
		}
		lost := s.names.update(nodes, lookForListeners(ctx, s.addr.Addr()), s.repairing)
		if len(lost) > 0 {
			s.beginRepair(ctx, lost, nodes)
		}
		return true
	}
	return s.epmd != nil || s.answers(ctx)
}

// answers reports whether the epmd answers a question about a name that no node can have. The cost
// of that does not grow with the number of names.
func (s *state) answers(ctx context.Context) bool {
	soon, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	_, err := epmd.Lookup(soon, s.addr, "@")
	return err == nil || errors.Is(err, epmd.ErrNotRegistered)
}

// garbled tells of a list of names that no epmd sends, and looks at it again as late as at any
// other: [ensure.Epmd] would take it for up.
func (s *state) garbled(err error) bool {
	s.names.asked, s.names.missing = time.Now(), false
	v := &ensure.Error{Kind: ensure.KindForeign, Endpoint: s.result.Endpoint, Address: s.addr,
		Hint: "end that program, or use another port for Erlang: ERL_EPMD_PORT=N"}
	who := "another program"
	if p, ok := owner.OfPortSoon(s.addr.Port()); ok {
		who = p.String()
	}
	v.Err = fmt.Errorf("%s has the port and is no epmd: %w", who, errors.Unwrap(err))
	if s.failed != v.Kind {
		s.failed = v.Kind
		s.notify(Event{Kind: KindFailed, Err: v})
	}
	return true
}

// repair is what becomes of lost nodes.
type repair struct {
	asked   []epmd.Node // those that were to be repaired
	lost    []LostNode  // those of them that were lost indeed
	stopped bool
}

// beginRepair gives the nodes their names back, beside all else that is done: it may take a while.
func (s *state) beginRepair(ctx context.Context, lost, registered []epmd.Node) {
	ctx, cancel := context.WithTimeout(ctx, repairTimeout)
	s.repairing, s.stopRepair = true, cancel
	addr := s.addr
	go func() {
		defer cancel()
		r := repair{asked: lost, lost: repairNodes(ctx, addr, lost, registered)}
		r.stopped = errors.Is(ctx.Err(), context.Canceled)
		s.repairs <- r
	}()
}

func (s *state) repaired(r repair) {
	s.repairing = false
	s.names.repaired(r)
	if len(r.lost) > 0 && !r.stopped {
		s.notify(Event{Kind: KindLost, Lost: r.lost})
	}
}

// repairNodes gives the nodes their names back, each with its own cookie. What a port's node calls
// itself counts, not the name that epmd had for it: anybody can register a name for any port.
func repairNodes(
	ctx context.Context, addr netip.AddrPort, nodes, registered []epmd.Node,
) []LostNode {
	found, _, err := orphan.Find(ctx, addr)
	if err == nil {
		err = errUnseen
	}
	names, done := map[string]bool{}, map[uint16]bool{} // ports that have a name, or were looked at
	for _, n := range registered {
		names[n.Name], done[n.Port] = true, true
	}
	me := os.Geteuid()
	var lost []LostNode
	for _, n := range nodes {
		i := slices.IndexFunc(found, func(f orphan.Node) bool {
			// Windows shows no user
			return f.Addr.Port() == n.Port && f.Short() == n.Name && (me < 0 || f.UID == me)
		})
		switch {
		case i >= 0:
			lost = append(lost, LostNode{n, found[i].RegisterItself(ctx, addr)})
		case !done[n.Port] && !names[n.Name]:
			lost = append(lost, LostNode{n, err})
		}
		done[n.Port] = true
	}
	return lost
}

var errUnseen = errors.New("its process could not be determined")

// ensure makes sure of the epmd again.
func (s *state) ensure(ctx context.Context) bool {
	wasAway := s.failed != "" || s.woken || s.hasEnded()
	c := s.config
	if s.hasEnded() || s.failed != "" || s.epmd == nil && s.addr.IsValid() ||
		time.Since(s.started) < lookEvery {
		// else it is there, and may only be slow
		c.ProbeTimeout = min(cmp.Or(c.ProbeTimeout, gonePatience), gonePatience)
	}
	s.woken = false
	if s.hasEnded() || s.epmd == nil || s.epmd.Name != "epmd" { // else it is the same one
		s.forget()
	}
	res, err := ensure.Epmd(ctx, c)
	if ctx.Err() != nil {
		return false
	}
	var e *ensure.Error
	if errors.As(err, &e) {
		s.forget() // there may be another one, until it answers
		if e.Kind != s.failed {
			s.notify(Event{Kind: KindFailed, Result: res, Err: err})
		}
		s.addr, s.failed = netip.AddrPort{}, e.Kind
		return false
	}
	s.result, s.addr, s.failed = res, res.Address, ""
	if res.Started {
		s.started = time.Now()
	}
	if s.epmd == nil {
		s.follow(ctx)
	}
	if res.Started || wasAway { // else it was only slow
		s.stopRepair()
		s.names.restart()
		s.notify(Event{Kind: KindUp, Result: res})
	}
	return true
}

func (s *state) hasEnded() bool {
	select {
	case <-s.gone():
		return true
	default:
		return false
	}
}
