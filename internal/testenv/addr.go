package testenv

import "net/netip"

// Loopback returns 127.0.0.1 with that port.
func Loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}
