package ensure

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/hostaddr"
	"github.com/beamrun/beamrun/internal/parse"
)

// The environment variables that epmd(1) and every Erlang node read.
const (
	envPort    = "ERL_EPMD_PORT"
	envAddress = "ERL_EPMD_ADDRESS"
)

// Endpoint is where an epmd is looked for and, if need be, started. It is resolved once, so that
// the probe and the daemon mean the same one, and so does the program that is launched afterwards
// if somebody chose it.
type Endpoint struct {
	// Port is epmd's TCP port.
	Port uint16

	// Implied is set where nobody chose the Port: it is Erlang's own default. Env leaves
	// ERL_EPMD_PORT alone then, for that would override what a node has of its own (-epmd_port).
	Implied bool

	// Addresses are those that the daemon is limited to; epmd adds 127.0.0.1 by itself. Empty, and
	// epmd listens on every address of the host, as the one that `erl -sname` starts does.
	Addresses []netip.Addr
}

// Resolve returns the endpoint that the Config means: its own fields, else ERL_EPMD_PORT and
// ERL_EPMD_ADDRESS, else port 4369 on every address. An empty variable counts as unset. The error
// is an *[Error] of [KindConfig].
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
		port, err := parse.Port(v)
		if err != nil {
			return configError(envPort, err, "unset it, or set it to a port from 1 to 65535")
		}
		e.Port = port
	}
	if e.Port == 0 {
		e.Port, e.Implied = epmd.DefaultPort, true
	}
	switch v := os.Getenv(envAddress); {
	case c.Local && len(c.Addresses) > 0:
		err := errors.New("local means 127.0.0.1, so there must be none")
		return configError("addresses", err, "")
	case c.Local:
		e.Addresses = []netip.Addr{hostaddr.Loopback4()} // epmd adds [::1] itself
	case len(c.Addresses) > 0:
		e.Addresses = c.Addresses
	case v != "":
		var err error
		if e.Addresses, err = parse.Addresses(v); err != nil {
			return configError(envAddress, err,
				"epmd takes IP addresses only, separated by commas: 127.0.0.1 or 10.0.0.5,fd00::5")
		}
	}
	return checkAddresses(e.Addresses)
}

// checkAddresses returns an error for an address that epmd does not take.
func checkAddresses(addrs []netip.Addr) *Error {
	for _, a := range addrs {
		if !a.IsValid() || a.Zone() != "" {
			err := fmt.Errorf("%v is not an address that epmd takes", a)
			return configError("addresses", err, "an IPv4 or IPv6 address, without a zone")
		}
	}
	return nil
}

func configError(what string, err error, hint string) *Error {
	return &Error{Kind: KindConfig, Err: fmt.Errorf("%s: %w", what, err), Hint: hint}
}

// Env returns the variables that make an Erlang program use this endpoint, as KEY=VALUE. There is
// none for an Implied port, and none for addresses where there are none.
func (e Endpoint) Env() []string {
	var env []string
	if !e.Implied {
		env = append(env, envPort+"="+strconv.Itoa(int(e.Port)))
	}
	if len(e.Addresses) > 0 {
		env = append(env, envAddress+"="+parse.Join(e.Addresses))
	}
	return env
}

// String names the endpoint in messages: the address that is probed first, and the port.
func (e Endpoint) String() string { return e.targets()[0].String() }

// targets are where the probe connects to, in order.
func (e Endpoint) targets() []netip.AddrPort {
	addrs := e.Addresses
	if len(addrs) == 0 {
		addrs = []netip.Addr{hostaddr.Loopback4(), netip.IPv6Loopback()}
	}
	t := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		t[i] = netip.AddrPortFrom(hostaddr.Dialable(a), e.Port)
	}
	return t
}
