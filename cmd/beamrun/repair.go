package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdless"
	"github.com/beamrun/beamrun/ensure/orphan"
)

// repair is `beamrun repair [NODE...]`.
//
// Without NODE it acts on all: a name is given back by the node that lost it, is taken from nobody, and only where it is plain
// whose it is. What it would do is what `beamrun doctor` says, and --dry-run.
func (a *app) repair(ctx context.Context, args []string) error {
	if a.source == cookie.Fresh {
		return &usageError{"--cookie fresh: no node can have that one", "beamrun help repair"}
	}
	ensured := ensure.Epmd
	if a.dryRun {
		ensured = ensure.Probe
	}
	res, err := ensured(ctx, a.epmd())
	a.sayWarnings(res.Warnings)
	if err != nil {
		return err
	}
	found, err := orphan.Find(ctx, res.Address)
	if err != nil {
		return err
	}
	attempts := chosen(ctx, found, args, res.Address)
	if len(args) == 0 && a.source != (cookie.Source{}) {
		refuseStrangers(attempts)
	}
	if !a.dryRun {
		a.registerAll(ctx, attempts, res.Address)
	}
	return a.sayAttempts(attempts)
}

// attempt is what became of a node.
type attempt struct {
	node  orphan.Node
	state string // "lost", "repaired", "registered"
	took  time.Duration
	err   error
}

// chosen are the nodes that args name, or without args all that are lost.
func chosen(ctx context.Context, found []orphan.Node, args []string, addr netip.AddrPort) (all []*attempt) {
	if len(args) == 0 {
		for _, n := range found {
			if n.Lost() {
				all = append(all, &attempt{node: n, state: "lost", err: n.Err()})
			}
		}
		return all
	}
	byFile, _, _ := epmdless.Nodes(ctx) // where no folder can be had, nobody is registered in one
	for _, arg := range args {
		var here, apart []*attempt
		for _, n := range found {
			switch o := (&attempt{node: n, state: "lost", err: n.Err()}); {
			case n.Is(arg) && n.Apart():
				apart = append(apart, o)
			case n.Is(arg):
				here = append(here, o)
			}
		}
		name, _, _ := strings.Cut(arg, "@")
		i := slices.IndexFunc(byFile, func(n epmdless.Node) bool { return n.Name == name })
		info, err := epmd.Lookup(ctx, addr.String(), name)
		switch {
		case len(here) > 0:
			all = append(all, here...) // of others that have the name elsewhere, nothing was asked
		case err == nil:
			all = append(all, &attempt{node: orphan.Node{Name: arg, Addr: netip.AddrPortFrom(addr.Addr(), info.Port)}, state: "registered"})
		case i >= 0:
			all = append(all, &attempt{node: orphan.Node{Name: arg, Addr: byFile[i].Addr, PID: byFile[i].PID}, state: "registered"})
		case len(apart) > 0:
			all = append(all, apart...)
		default:
			all = append(all, &attempt{node: orphan.Node{Name: arg}, state: "unknown", err: &orphan.Error{Kind: "not-found", Node: arg,
				Err:  fmt.Errorf("no such node runs here, by all that %s can see", me()),
				Hint: "beamrun doctor lists the nodes that have lost their names; those of other users are seen by root"}})
		}
	}
	return all
}

// refuseStrangers keeps a cookie that was given for all from the nodes of other users. One that only looks like a node would
// get a digest of it for a challenge of its own choice, with which it may be let in elsewhere.
func refuseStrangers(attempts []*attempt) {
	me := os.Geteuid()
	for _, o := range attempts {
		if o.err == nil && me >= 0 && o.node.UID != me { // Windows tells neither
			o.err = &orphan.Error{Kind: orphan.KindUser, Node: o.node.Name, Err: fmt.Errorf("it is another user's (uid %d, pid %d)", o.node.UID, o.node.PID),
				Hint: "if --cookie is for it too, name it: beamrun --cookie SOURCE repair " + o.node.Short()}
		}
	}
}

func me() string {
	u, err := user.Current()
	if err != nil {
		return "this user"
	}
	return "user " + u.Username
}

// registerAll has the lost ones register, some at a time.
func (a *app) registerAll(ctx context.Context, attempts []*attempt, addr netip.AddrPort) {
	var wg sync.WaitGroup
	slots := make(chan bool, 8)
	for _, o := range attempts {
		if o.state != "lost" || o.err != nil {
			continue
		}
		wg.Go(func() {
			slots <- true
			defer func() { <-slots }()
			begin := time.Now()
			secret, err := a.cookieOf(o.node)
			if err == nil {
				err = o.node.Register(ctx, addr, secret)
			}
			if o.took, o.err = time.Since(begin), err; err == nil {
				o.state = "repaired"
			}
		})
	}
	wg.Wait()
}

// cookieOf is the cookie of --cookie, else the node's own. It makes no file.
func (a *app) cookieOf(n orphan.Node) (string, error) {
	switch a.source {
	case cookie.Source{}:
		return n.Cookie()
	case cookie.User:
		path, err := a.source.Path()
		if err != nil {
			return "", err
		}
		return cookie.Load(path)
	}
	return a.source.Cookie()
}

// sayAttempts says what became of each. What failed is said on stderr.
func (a *app) sayAttempts(attempts []*attempt) error {
	failed := false
	nodes := []attemptJSON{}
	for _, o := range attempts {
		failed = failed || o.err != nil
		nodes = append(nodes, o.json())
		if a.json {
			continue
		}
		if o.err != nil {
			r, _ := describe(o.err)
			a.sayReport(r)
		} else if !a.quiet {
			fmt.Fprintln(a.stdout, o)
		}
	}
	if a.json {
		a.printJSON(map[string][]attemptJSON{"nodes": nodes})
	} else if len(attempts) == 0 && !a.quiet {
		fmt.Fprintln(a.stdout, "no node has lost its name")
	}
	if failed {
		return &printedError{exitFailed}
	}
	return nil
}

func (o *attempt) String() string {
	switch o.state {
	case "lost":
		return clean(o.node.String()) + ": has lost its name"
	case "registered":
		return fmt.Sprintf("%s: is registered, at port %d", printable(o.node.Name), o.node.Addr.Port())
	}
	return fmt.Sprintf("%s: registered again, in %v", clean(o.node.String()), o.took.Round(100*time.Microsecond))
}

type attemptJSON struct {
	Name      string  `json:"name"`
	State     string  `json:"state"` // lost, repaired, registered, unknown
	Port      uint16  `json:"port,omitempty"`
	PID       int     `json:"pid,omitempty"`
	Hidden    bool    `json:"hidden,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms,omitempty"`
	Error     *report `json:"error,omitempty"`
}

func (o *attempt) json() attemptJSON {
	j := attemptJSON{Name: o.node.Name, State: o.state, Port: o.node.Addr.Port(), PID: o.node.PID, Hidden: o.node.Hidden,
		ElapsedMS: float64(o.took.Microseconds()) / 1000}
	if o.err != nil {
		r, _ := describe(o.err)
		j.Error = &r
	}
	return j
}
