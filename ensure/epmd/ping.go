package epmd

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"
)

// Ping asks the epmd at addr for its names and returns the port that the reply's first 4 bytes
// tell. It reads the names to their end and drops them: an epmd whose reply is cut off writes so to
// its log.
//
// It is the probe that runs before every program start, so it takes the least that a wait may:
// there is no timer, and the end of the context or of the timeout is seen within 20 ms.
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

// List is [Ping] that keeps the names: [Names] in the least time. It calls meanwhile while epmd
// makes its reply, which takes some milliseconds for a thousand names.
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

// Alive asks the epmd at addr for a node that nobody has, and returns nil when it answers. Unlike
// [Ping] it can't tell the epmd's port, and what it costs does not grow with the number of names:
// it is for asking again and again. Else it is as Ping.
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
	var b [1024]byte
	n, err := io.ReadAtLeast(r, b[:], 4)
	if err != nil {
		return 0, noEOF(err)
	}
	port, err := parseHeader([4]byte(b[:4]))
	for size := n; err == nil; size += n {
		if size > maxReply {
			return 0, errTooLong()
		}
		n, err = r.Read(b[:])
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return port, err
}
