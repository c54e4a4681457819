package doctor

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/internal/hostaddr"
)

// withoutIPv6 returns what is wrong with an epmd of that version on a host without [::1]: one that
// is limited to addresses listens there too, and in some versions ends where it cannot.
func (h *host) withoutIPv6(path, version string) Check {
	asked := h.result.Endpoint.Addresses
	if len(asked) == 0 || slices.ContainsFunc(asked, netip.Addr.IsUnspecified) ||
		hasIPv6Loopback() {
		return Check{}
	}
	how := "may end"
	switch ends, may := endsWithoutIPv6(version); {
	case ends:
		how = "ends"
	case !may || h.err == nil: // it was seen to run
		return Check{}
	}
	return found(Warn, "%s, of ERTS %s, %s where an address is asked for (%s)"+
		" and the host has no [::1]", path, version, how, list(asked)).advise(giveLoopback)
}

func hasIPv6Loopback() bool {
	all, err := hostaddr.All()
	return err != nil || slices.Contains(all, netip.IPv6Loopback())
}

// endsWithoutIPv6 reports whether an epmd of that version of ERTS ends then, or may. The first fix
// of otp#4820 is in OTP 25.0, 24.3.4 (ERTS 12.3.2) and 23.3.4.14 (11.2.2.13); the defect came back
// with a release of July 2026 (otp#11402: ERTS 15.2.7.11), and went in August.
func endsWithoutIPv6(version string) (ends, may bool) {
	var v []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return false, false
		}
		v = append(v, n)
	}
	from := func(than ...int) bool { return slices.Compare(v, than) >= 0 }
	switch {
	case !from(11, 2, 2, 13), from(12) && !from(12, 3, 2), slices.Equal(v, []int{15, 2, 7, 11}):
		return true, false
	case from(15, 2, 7, 12) && !from(16), from(16, 3) && !from(17, 1): // not known for each of them
		return false, true
	}
	return false, false
}
