// Package parse reads values from outside: flags and environment variables.
package parse

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Port reads a TCP port from 1 to 65535.
func Port(s string) (uint16, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is not a port from 1 to 65535", Quoted(s))
	}
	return uint16(port), nil
}

// Addresses reads IP addresses in the form of epmd's own -address and ERL_EPMD_ADDRESS: separated
// by commas or spaces, no host names.
func Addresses(list string) ([]netip.Addr, error) {
	if list == "" {
		return nil, nil
	}
	var addrs []netip.Addr
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" { // epmd knows no zones either
			return nil, fmt.Errorf("%s is not an IP address", Quoted(s))
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// Join writes addresses so that [Addresses] reads them.
func Join(addrs []netip.Addr) string {
	s := make([]string, len(addrs))
	for i, a := range addrs {
		s[i] = a.String()
	}
	return strings.Join(s, ",")
}

// Quoted returns a value from outside in quotes, cut after 100 characters: a variable may hold
// anything.
func Quoted(s string) string {
	const most = 100
	short := fmt.Sprintf("%.*s", most, s)
	if short != s {
		return strconv.Quote(short) + "…"
	}
	return strconv.Quote(s)
}
