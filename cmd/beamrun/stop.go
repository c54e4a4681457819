package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/systemd"
)

// stopError is why an epmd is left alone.
type stopError struct {
	where         string
	kind          string // nodes-registered, service, refused
	message, hint string
}

func (e *stopError) Error() string {
	return fmt.Sprintf("epmd on %s: %s: %s", e.where, e.kind, e.message)
}

// stop is `beamrun stop`. Where no epmd runs that is no error: what is wanted is that none does,
// and so a script may call it again, or without knowing how far it came.
func (a *app) stop(ctx context.Context, args []string) error {
	if err := noArgs("stop", args); err != nil {
		return err
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(a.timeout, ensure.DefaultTimeout))
	defer cancel()
	e, err := a.epmd().Resolve()
	if err != nil {
		return err
	}
	if k, ok := systemd.KeeperOf(ctx, e.Port); ok { // before the probe, which might start it
		why := "systemd keeps it (" + strings.Join(k.Units, ", ") + ")"
		return &stopError{e.String(), "service", why, k.StopCommand()}
	}
	res, err := ensure.Probe(ctx, a.epmd())
	if isDown(err) {
		first, _ := netip.ParseAddrPort(e.String())
		return a.sayStopped(first, false, begin)
	}
	if err != nil {
		return err
	}
	err = end(ctx, res.Address)
	switch left := new(stopError); {
	case err == nil:
		if err := a.awaitDown(ctx, res); err != nil {
			return err
		}
	case errors.As(err, &left):
		return err
	default: // somebody else may have ended it meanwhile
		if _, err := ensure.Probe(ctx, a.epmd()); isDown(err) {
			return a.sayStopped(res.Address, false, begin)
		} else if err != nil {
			return err
		}
		return err
	}
	return a.sayStopped(res.Address, true, begin)
}

func isDown(err error) bool {
	var e *ensure.Error
	return errors.As(err, &e) && e.Kind == ensure.KindDown
}

// end asks the epmd to end. It asks for the nodes first: one with -relaxed_command_check would end
// with them registered.
func end(ctx context.Context, where netip.AddrPort) error {
	if err := refuseFor(ctx, where); err != nil {
		return err
	}
	err := epmd.Kill(ctx, where)
	if !errors.Is(err, epmd.ErrNodesRegistered) {
		return err
	}
	if err := refuseFor(ctx, where); err != nil {
		return err
	}
	return &stopError{where.String(), "refused",
		"it did not end, for a node was registered, which is gone by now",
		"try again: beamrun stop"}
}

// refuseFor returns an error while nodes are registered.
func refuseFor(ctx context.Context, where netip.AddrPort) error {
	const most = 20 // in a message
	nodes, err := epmd.Names(ctx, where)
	if err != nil || len(nodes) == 0 {
		return err
	}
	var list []string
	for _, n := range nodes[:min(most, len(nodes))] {
		list = append(list, fmt.Sprintf("%s (port %d)", printable(n.Name), n.Port))
	}
	if more := len(nodes) - most; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return &stopError{where.String(), "nodes-registered", strings.Join(list, ", "),
		"they would lose their names; end them first: init:stop(). in each, or stop its service;" +
			" their processes: beamrun names -v"}
}

// awaitDown waits until nobody listens.
func (a *app) awaitDown(ctx context.Context, res ensure.Result) error {
	for wait := time.Millisecond; ; wait = min(2*wait, 20*time.Millisecond) {
		_, err := ensure.Probe(ctx, a.epmd())
		if isDown(err) {
			return nil
		}
		select {
		case <-time.After(wait):
			continue
		case <-ctx.Done():
		}
		return &ensure.Error{Kind: ensure.KindTimeout, Endpoint: res.Endpoint, Address: res.Address,
			Err: errors.New("it agreed to end, and somebody still listens there"),
			Hint: "something starts it again: a program with --watch, a manager of services," +
				" a node that boots"}
	}
}

func (a *app) sayStopped(where netip.AddrPort, stopped bool, begin time.Time) error {
	took := time.Since(begin)
	if a.json {
		type epmd struct {
			Address   string  `json:"address"`
			Port      uint16  `json:"port"`
			Stopped   bool    `json:"stopped"`
			ElapsedMS float64 `json:"elapsed_ms"`
		}
		ms := float64(took.Microseconds()) / 1000
		return a.printJSON(map[string]epmd{
			"epmd": {where.Addr().String(), where.Port(), stopped, ms},
		})
	}
	if a.quiet {
		return nil
	}
	what := "not running"
	if stopped {
		what = fmt.Sprintf("stopped, in %v", took.Round(100*time.Microsecond))
	}
	_, err := fmt.Fprintf(a.stdout, "epmd on %s: %s\n", where, what)
	return err
}
