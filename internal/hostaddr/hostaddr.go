// Package hostaddr knows the addresses of this host.
package hostaddr

import (
	"net"
	"net/netip"
	"slices"
)

// Loopback4 returns 127.0.0.1.
func Loopback4() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }

// Dialable returns the address at which to reach what listens on addr: one can listen on 0.0.0.0
// and [::], but only connect to an address.
func Dialable(addr netip.Addr) netip.Addr {
	switch addr = addr.Unmap(); addr {
	case netip.IPv4Unspecified():
		return Loopback4()
	case netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	}
	return addr
}

// All returns the addresses of this host's interfaces, without zones.
func All() ([]netip.Addr, error) {
	of, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var all []netip.Addr
	for _, a := range of {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr().WithZone(""))
		}
	}
	return all, nil
}

// IsOwn reports whether addr is one of this host.
func IsOwn(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	if addr.IsLoopback() {
		return true
	}
	all, _ := All()
	return slices.Contains(all, addr)
}
