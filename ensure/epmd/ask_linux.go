package epmd

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tick is how long a system call waits at most before the context and the deadline are looked at.
const tick = 20 * time.Millisecond

// ask sends one request and has read take the reply. It waits in system calls, on its own thread.
// Package net would pass the two short waits through the runtime's poller and two more threads:
// waking them costs about 80 µs of the 1.6 ms of a `beamrun ensure`.
func ask(
	ctx context.Context, addr netip.AddrPort, request []byte, read func(io.Reader) error,
) error {
	c := conn{ctx: ctx, deadline: deadline(ctx), addr: addr, request: packet(request)}
	if err := c.late(); err != nil {
		return err
	}
	if err := c.dial(); err != nil {
		return c.dialError(err)
	}
	defer unix.Close(c.fd)
	// so few bytes always fit into the buffer of a new socket
	if err := unix.Send(c.fd, c.request, unix.MSG_NOSIGNAL); err != nil {
		return os.NewSyscallError("send", err)
	}
	return read(&c)
}

type conn struct {
	ctx      context.Context
	deadline time.Time
	addr     netip.AddrPort
	request  []byte
	fd       int
}

func (c *conn) dial() (err error) {
	ip, port := c.addr.Addr().Unmap(), int(c.addr.Port())
	family, to := unix.AF_INET, unix.Sockaddr(nil)
	if ip.Is4() {
		to = &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	} else {
		zone, err := zoneID(ip.Zone())
		if err != nil {
			return err
		}
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16(), ZoneId: zone}
	}
	c.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(c.fd)
		}
	}()
	each := unix.NsecToTimeval(int64(tick))
	for _, option := range []int{unix.SO_SNDTIMEO, unix.SO_RCVTIMEO} { // of connect(2), of read(2)
		if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, option, &each); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	for {
		switch err := unix.Connect(c.fd, to); err {
		case nil:
			return nil
		case unix.EINPROGRESS, unix.EALREADY, unix.EINTR:
			if err := c.late(); err != nil {
				return err
			}
		default:
			return os.NewSyscallError("connect", err)
		}
	}
}

// zoneID returns the number of an interface, for a link-local address.
func zoneID(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	i, err := net.InterfaceByName(name)
	if err == nil {
		return uint32(i.Index), nil
	}
	if n, numErr := strconv.ParseUint(name, 10, 32); numErr == nil {
		return uint32(n), nil
	}
	return 0, err
}

func (c *conn) dialError(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(c.addr), Err: err}
}

// late is the error of a call whose time is up.
func (c *conn) late() error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if !time.Now().Before(c.deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// Read is that of io.Reader, until the deadline or the context's end.
func (c *conn) Read(b []byte) (int, error) {
	for {
		if err := c.late(); err != nil {
			return 0, err
		}
		n, err := unix.Read(c.fd, b)
		switch {
		case err == unix.EAGAIN, err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		case bytes.HasPrefix(c.request, b[:n]) && c.metItself():
			// without a trace of it, which would keep the port from epmd for a minute
			unix.SetsockoptLinger(c.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
			return 0, c.dialError(os.NewSyscallError("connect", unix.ECONNREFUSED))
		default:
			return n, nil
		}
	}
}

// metItself reports whether the socket is connected to itself, as happens where nobody listens and
// the port is also an ephemeral one.
func (c *conn) metItself() bool {
	self, err := unix.Getsockname(c.fd)
	if err != nil {
		return false
	}
	switch self := self.(type) {
	case *unix.SockaddrInet4:
		return self.Port == int(c.addr.Port())
	case *unix.SockaddrInet6:
		return self.Port == int(c.addr.Port())
	}
	return false
}

// inBulk has the rest of a reply, to its end, wake its reader less often: epmd sends each name by
// itself.
func inBulk(r io.Reader) {
	if c, ok := r.(*conn); ok {
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1<<15) // else it takes longer
	}
}
