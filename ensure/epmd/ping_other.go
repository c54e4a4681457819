//go:build !linux

package epmd

import (
	"context"
	"io"
	"net/netip"
	"time"
)

func ping(ctx context.Context, addr netip.AddrPort, deadline time.Time) (port uint16, err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	err = exchange(ctx, addr.String(), []byte{namesReq}, func(r io.Reader) (err error) {
		port, err = pingReply(r)
		return err
	})
	return port, err
}
