package epmd

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"
)

// Ping asks the epmd at addr for its names and returns the port that the reply's first 4 bytes tell. It reads the names
// to their end and drops them: an epmd whose reply is cut off writes so to its log.
//
// It is the probe that runs before every program start, so it takes the least that a wait may: the call ends after
// timeout at the latest, without a timer, and an end of the context is seen within 20 ms.
//
// Errors: those of [Names]; when the time is up, [context.DeadlineExceeded].
func Ping(ctx context.Context, addr netip.AddrPort, timeout time.Duration) (port uint16, err error) {
	err = ask(ctx, addr, soonest(ctx, timeout), []byte{namesReq}, func(r io.Reader) (err error) {
		port, err = pingReply(r)
		return err
	})
	if err != nil {
		return 0, wrap(addr.String(), err)
	}
	return port, nil
}

// List is [Ping] that keeps the names: [Names] in the least time. It calls meanwhile while epmd makes its reply, which takes some
// milliseconds for a thousand names.
func List(ctx context.Context, addr netip.AddrPort, timeout time.Duration, meanwhile func()) (port uint16, nodes []Node, err error) {
	err = ask(ctx, addr, soonest(ctx, timeout), []byte{namesReq}, func(r io.Reader) (err error) {
		meanwhile()
		if port, err = readHeader(r); err != nil {
			return err
		}
		inBulk(r)
		nodes, err = readLines(r)
		return err
	})
	return port, nodes, wrap(addr.String(), err)
}

// Alive asks the epmd at addr for a node that nobody has, and returns nil when it answers. Unlike [Ping] it can't tell the
// epmd's port, and what it costs does not grow with the number of names: it is for asking again and again. Else it is as Ping.
func Alive(ctx context.Context, addr netip.AddrPort, timeout time.Duration) error {
	err := ask(ctx, addr, soonest(ctx, timeout), []byte{port2Req, '@'}, func(r io.Reader) error { // no name has an @
		_, err := readPort2(r)
		return err
	})
	if errors.Is(err, ErrNotRegistered) {
		err = nil
	}
	return wrap(addr.String(), err)
}

// soonest is the deadline of a call that may take that long.
func soonest(ctx context.Context, timeout time.Duration) time.Time {
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	return deadline
}

// pingReply reads a whole NAMES reply for its port.
func pingReply(r io.Reader) (uint16, error) {
	port, err := readHeader(r)
	if err != nil {
		return 0, err
	}
	var names [1024]byte
	for size := 0; ; {
		n, err := r.Read(names[:])
		if size += n; size > maxReply {
			return 0, errTooLong
		}
		if errors.Is(err, io.EOF) {
			return port, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
