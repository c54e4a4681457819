package epmd

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// ask waits by poll(2) on its own thread. Package net would pass the two short waits through the runtime's poller and
// two more threads, whose waking costs about 80 µs of the 1.6 ms of a `beamrun ensure`.
func ask(ctx context.Context, addr netip.AddrPort, deadline time.Time, request []byte, read func(io.Reader) error) error {
	c := pingConn{ctx: ctx, deadline: deadline}
	if err := c.dial(addr); err != nil {
		return err
	}
	defer unix.Close(c.fd)
	// so few bytes always fit into the buffer of a new socket
	if _, err := unix.SendmsgN(c.fd, packet(request), nil, nil, unix.MSG_NOSIGNAL); err != nil {
		return os.NewSyscallError("send", err)
	}
	return read(&c)
}

type pingConn struct {
	ctx      context.Context
	deadline time.Time
	fd       int
}

func (c *pingConn) dial(addr netip.AddrPort) (err error) {
	fail := func(call string, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: os.NewSyscallError(call, err)}
	}
	family, to := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()})
	if addr.Addr().Is4() {
		family, to = unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	c.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return fail("socket", err)
	}
	defer func() {
		if err != nil {
			unix.Close(c.fd)
		}
	}()
	switch err := unix.Connect(c.fd, to); err {
	case nil:
	case unix.EINPROGRESS, unix.EINTR:
		if err := c.wait(unix.POLLOUT); err != nil {
			return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(addr), Err: err}
		}
		if errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || errno != 0 {
			return fail("connect", unix.Errno(errno))
		}
	default:
		return fail("connect", err)
	}
	// With a port that is also an ephemeral one, a socket can meet itself when nobody listens.
	if self, err := unix.Getsockname(c.fd); err == nil && portOf(self) == int(addr.Port()) {
		return fail("connect", unix.ECONNREFUSED)
	}
	return nil
}

func portOf(a unix.Sockaddr) int {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}

// Read is that of io.Reader, until the deadline or the context's end.
func (c *pingConn) Read(b []byte) (int, error) {
	for {
		n, err := unix.Read(c.fd, b)
		switch {
		case err == unix.EAGAIN:
			if err := c.wait(unix.POLLIN); err != nil {
				return 0, err
			}
		case err == unix.EINTR:
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// inBulk has the rest of a reply, to its end, wake its reader less often: epmd sends each name by itself.
func inBulk(r io.Reader) {
	if c, ok := r.(*pingConn); ok {
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 1<<15) // else it takes longer
	}
}

// wait waits for an event of the socket. It looks at the context every 20 ms.
func (c *pingConn) wait(events int16) error {
	fds := []unix.PollFd{{Fd: int32(c.fd), Events: events}}
	for {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		left := time.Until(c.deadline)
		if left <= 0 {
			return context.DeadlineExceeded
		}
		ms := min(left.Milliseconds()+1, 20)
		if n, err := unix.Poll(fds, int(ms)); n > 0 || err != nil && err != unix.EINTR {
			return err
		}
	}
}
