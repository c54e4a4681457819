//go:build !linux

package epmd

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"
)

// ask sends one request and has read take the reply. The context's end cuts it off at any point.
func ask(
	ctx context.Context, addr netip.AddrPort, request []byte, read func(io.Reader) error,
) error {
	ctx, cancel := context.WithDeadline(ctx, deadline(ctx))
	defer cancel()
	// no keep-alive: the connection lives for one reply
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	_, err = conn.Write(packet(request))
	if err == nil {
		err = read(conn)
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // what the deadline above made of it says less
	}
	return err
}

func inBulk(io.Reader) {}
