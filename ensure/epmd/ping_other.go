//go:build !linux

package epmd

import (
	"context"
	"io"
	"net/netip"
	"time"
)

func ask(ctx context.Context, addr netip.AddrPort, deadline time.Time, request []byte, read func(io.Reader) error) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return exchange(ctx, addr.String(), request, read)
}

func inBulk(io.Reader) {}
