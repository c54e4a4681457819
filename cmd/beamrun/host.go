package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/hostaddr"
)

// otherHostError is a node of another host, of which the epmd that is asked knows nothing: it takes
// a name without its host, and would answer for a node of this host that has the same one.
type otherHostError struct{ node, host, here string }

func (e *otherHostError) Error() string {
	return fmt.Sprintf("node %s: %s is not this host (%s)",
		printable(e.node), printable(e.host), printable(e.here))
}

// refuseOtherHost returns an error for a node with an @ whose host is neither this one nor the one
// whose epmd is asked.
func (a *app) refuseOtherHost(ctx context.Context, node string) error {
	_, host, found := strings.Cut(node, "@")
	if !found || host == "" {
		return nil
	}
	here, _ := os.Hostname()
	short, _, _ := strings.Cut(here, ".")
	isHost := func(s string) bool { return strings.EqualFold(s, host) }
	if slices.ContainsFunc([]string{here, short, "localhost"}, isHost) {
		return nil
	}
	// a long name, or one of its own in /etc/hosts: what leads here is this host
	ctx, cancel := context.WithTimeout(ctx, min(time.Second, cmp.Or(a.timeout, time.Second)))
	defer cancel()
	leads, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host) // an address is its own
	asked, _ := a.epmd().Resolve()
	if slices.ContainsFunc(leads, func(at netip.Addr) bool {
		return hostaddr.IsOwn(at) || slices.Contains(asked.Addresses, at.Unmap().WithZone(""))
	}) {
		return nil
	}
	return &otherHostError{node, host, here}
}
