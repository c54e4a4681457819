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
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	port, err = ping(ctx, addr, deadline)
	if err != nil {
		return 0, wrap(addr.String(), err)
	}
	return port, nil
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
