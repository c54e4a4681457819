package ensure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/neterr"
)

// probe asks each address of the endpoint in turn and returns the first where an epmd answers. Its error is of
// KindDown when nothing listens, else what the first address said that did not refuse. The endpoint comes by pointer:
// with a copy in each frame, the stack would have to grow.
func probe(ctx context.Context, e *Endpoint, timeout time.Duration) (netip.AddrPort, *Error) {
	var down, absent error
	targets := e.targets()
	for _, target := range targets {
		err := probeOne(ctx, e, target, timeout)
		switch {
		case err == nil && down != nil && probeOne(ctx, e, targets[0], timeout) == nil:
			// An epmd that just starts binds its addresses one by one, [::] before 0.0.0.0, and answers only when it
			// has them all. Nodes use 127.0.0.1, so that is the one to vouch for.
			return targets[0], nil
		case err == nil:
			return target, nil
		case neterr.IsRefused(err):
			down = cmp.Or(down, err.Err)
		case neterr.IsAbsent(err):
			absent = cmp.Or(absent, err.Err)
		default:
			return target, err
		}
	}
	if down != nil {
		return netip.AddrPort{}, &Error{Kind: KindDown, Endpoint: *e, Err: down, Hint: "start it: beamrun ensure"}
	}
	return netip.AddrPort{}, &Error{Kind: KindUnreachable, Endpoint: *e, Err: absent,
		Hint: "this host has no such address; is its loopback interface up? (ip link set lo up)"}
}

// probeOne asks one address.
func probeOne(ctx context.Context, e *Endpoint, target netip.AddrPort, timeout time.Duration) *Error {
	if err := ctx.Err(); err != nil {
		return &Error{Kind: endKind(err), Endpoint: *e, Address: target, Err: err}
	}
	start := time.Now()
	port, err := ping(ctx, target, timeout)
	if isCutOff(err) {
		port, err = pingAgain(ctx, target, start.Add(timeout), err)
	}
	switch {
	case err != nil:
	case int(port) == e.Port:
		return nil
	default:
		err = fmt.Errorf("%w: it says that its port is %d", epmd.ErrNotEpmd, port)
	}
	return verdict(e, target, err, time.Since(start))
}

// pingAgain asks again after an epmd ended the connection: one that is being killed does so too, and is gone, or another one, a moment
// later. All the tries have to end by the same deadline.
func pingAgain(ctx context.Context, target netip.AddrPort, deadline time.Time, cut error) (port uint16, err error) {
	err = cut
	for wait := time.Millisecond; isCutOff(err) && wait < 50*time.Millisecond && time.Until(deadline) > wait; wait *= 2 {
		select {
		case <-time.After(wait):
			port, err = ping(ctx, target, time.Until(deadline))
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = cut // that says more
	}
	return port, err
}

// ping returns the bare cause: the Error around it says the address.
func ping(ctx context.Context, target netip.AddrPort, timeout time.Duration) (uint16, error) {
	port, err := epmd.Ping(ctx, target, timeout)
	return port, errors.Unwrap(err)
}
