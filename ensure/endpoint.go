package ensure

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// The environment variables that epmd(1) and every Erlang node read.
const (
	envPort    = "ERL_EPMD_PORT"
	envAddress = "ERL_EPMD_ADDRESS"
)

// Endpoint is where an epmd is looked for and, if need be, started. It is resolved once, so that the probe and the
// daemon mean the same one, and so does the program that is launched afterwards if somebody chose it.
type Endpoint struct {
	// Port is epmd's TCP port.
	Port int

	// Implied is set where nobody chose the Port: it is Erlang's own default. Env leaves ERL_EPMD_PORT alone then, for
	// that would override what a node has of its own (-epmd_port).
	Implied bool

	// Addresses are those that the daemon is limited to; epmd adds 127.0.0.1 by itself. Empty, and epmd listens on
	// every address of the host, as the one that `erl -sname` starts does.
	Addresses []netip.Addr
}

// Resolve returns the endpoint that the Config means: its own fields, else ERL_EPMD_PORT and ERL_EPMD_ADDRESS, else
// port 4369 on every address. An empty variable counts as unset. The error is an *[Error] of [KindConfig].
func (c Config) Resolve() (e Endpoint, _ error) {
	if err := c.resolve(&e); err != nil {
		return e, err
	}
	return e, nil
}

// resolve fills in by pointer, as [Config.run] does.
func (c *Config) resolve(e *Endpoint) *Error {
	e.Port = c.Port
	if v := os.Getenv(envPort); e.Port == 0 && v != "" {
		port, err := ParsePort(v)
		if err != nil {
			return configError(envPort, err, "unset it, or set it to a port from 1 to 65535")
		}
		e.Port = port
	}
	if e.Port == 0 {
		e.Port, e.Implied = epmd.DefaultPort, true
	}
	if e.Port < 1 || e.Port > 65535 {
		return configError("port", fmt.Errorf("%d is not from 1 to 65535", e.Port), "")
	}
	if c.Local && c.Address != "" {
		return configError("address", errors.New("local means 127.0.0.1, so none can be given"), "")
	}
	list, from := c.Address, "address"
	if c.Local {
		list = "127.0.0.1" // epmd adds [::1] itself
	}
	if list == "" {
		list, from = os.Getenv(envAddress), envAddress
	}
	var err error
	if e.Addresses, err = ParseAddresses(list); err != nil {
		return configError(from, err, "epmd takes IP addresses only, separated by commas: 127.0.0.1 or 10.0.0.5,fd00::5")
	}
	return nil
}

func configError(what string, err error, hint string) *Error {
	return &Error{Kind: KindConfig, Err: fmt.Errorf("%s: %w", what, err), Hint: hint}
}

// ParsePort reads a TCP port from 1 to 65535.
func ParsePort(s string) (int, error) {
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("%s is not a port from 1 to 65535", quoted(s))
	}
	return int(port), nil
}

// ParseAddresses reads IP addresses in the form of epmd's own -address and ERL_EPMD_ADDRESS: separated by commas or
// spaces, no host names.
func ParseAddresses(list string) ([]netip.Addr, error) {
	if list == "" {
		return nil, nil
	}
	var addrs []netip.Addr
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" { // epmd knows no zones either
			return nil, fmt.Errorf("%s is not an IP address", quoted(s))
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// quoted is a value from outside, cut after 100 characters: a variable may hold anything.
func quoted(s string) string {
	const most = 100
	short := fmt.Sprintf("%.*s", most, s)
	if short != s {
		return strconv.Quote(short) + "…"
	}
	return strconv.Quote(s)
}

// Env returns the variables that make an Erlang program use this endpoint, as KEY=VALUE. There is none for an Implied
// port, and none for addresses where there are none.
func (e Endpoint) Env() []string {
	var env []string
	if !e.Implied {
		env = append(env, envPort+"="+strconv.Itoa(e.Port))
	}
	if len(e.Addresses) > 0 {
		env = append(env, envAddress+"="+e.list())
	}
	return env
}

// String names the endpoint in messages: the address that is probed first, and the port.
func (e Endpoint) String() string { return e.targets()[0].String() }

func (e Endpoint) list() string {
	s := make([]string, len(e.Addresses))
	for i, a := range e.Addresses {
		s[i] = a.String()
	}
	return strings.Join(s, ",")
}

// targets are where the probe connects to, in order. One can listen on 0.0.0.0 and ::, but only connect to an address.
func (e Endpoint) targets() []netip.AddrPort {
	v4, v6 := netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()
	addrs := e.Addresses
	if len(addrs) == 0 {
		addrs = []netip.Addr{v4, v6}
	}
	t := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		switch a {
		case netip.IPv4Unspecified():
			a = v4
		case netip.IPv6Unspecified():
			a = v6
		}
		t[i] = netip.AddrPortFrom(a, uint16(e.Port))
	}
	return t
}
