package launcher

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Ports are the TCP ports from First to Last, or First alone where Last is 0. The zero value is
// none.
type Ports struct{ First, Last int }

func (p Ports) last() int { return max(p.First, p.Last) }

// IsOne reports whether it is one port.
func (p Ports) IsOne() bool { return p.First != 0 && p.First == p.last() }

// ParsePorts reads "N" or "N-M", each from 1 to 65535. Its error does not repeat s, which may be a
// secret in the wrong place.
func ParsePorts(s string) (Ports, error) {
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		last = first
	}
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(last, 10, 16)
	if errA != nil || errB != nil || a == 0 || a > b {
		return Ports{}, errors.New("it is neither a port from 1 to 65535" +
			" nor a range of them such as 9100-9110")
	}
	return Ports{int(a), int(b)}, nil
}

// withDistPort returns env with what makes a node listen on one of the ports. One that only visits
// another node needs no port.
func (c Config) withDistPort(env []string) []string {
	if isVisit(c.Program, c.Args) || c.given(env, "inet_dist_listen_") {
		return env
	}
	return withFlags(env, fmt.Sprintf("-kernel inet_dist_listen_min %d inet_dist_listen_max %d",
		c.DistPort.First, c.DistPort.last()))
}
