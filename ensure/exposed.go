package ensure

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// warnIfExposed looks whether something listens at the endpoint's port on an address that other hosts can reach.
func (r *Result) warnIfExposed(ctx context.Context) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		r.warn("nobody can tell whether other hosts reach this epmd: %v", err)
	}
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		addr := prefix.Addr()
		if err != nil || addr.IsLoopback() || addr.IsLinkLocalUnicast() { // the latter need a zone, and have a sibling
			continue
		}
		target := netip.AddrPortFrom(addr, uint16(r.Endpoint.Port))
		if _, err := ping(ctx, target, 100*time.Millisecond); err == nil {
			r.warn("this epmd was not started as local: it listens on %s too, where other hosts may reach it", target)
			return
		}
	}
}
