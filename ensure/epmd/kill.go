package epmd

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrRefused says that epmd does not end, for nodes are registered.
var ErrRefused = errors.New("it does not end while nodes are registered")

const killReq = 'k'

// Kill asks the epmd at addr (host:port) to end. It ends as soon as it has replied, and a moment
// may pass until nobody listens on its port. An epmd that was started with -relaxed_command_check
// ends with nodes registered, too.
//
// Errors: those of [Names], and [ErrRefused]. epmd closes the connection without a reply
// ([io.ErrUnexpectedEOF]) when it is on another host; and so does one that another caller's Kill
// has just ended.
func Kill(ctx context.Context, addr string) error {
	return wrap(addr, exchange(ctx, addr, []byte{killReq}, readKill))
}

// readKill reads "OK" or "NO".
func readKill(r io.Reader) error {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return noEOF(err)
	}
	switch string(b[:]) {
	case "OK":
		return nil
	case "NO":
		return ErrRefused
	}
	return fmt.Errorf("%w: it starts with %+q", ErrNotEpmd, b[:])
}
