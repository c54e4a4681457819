package owner

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// overflowUser is what the kernel says of a user who has no number in this user namespace
// (proc_sys_kernel(5), overflowuid).
const overflowUser = 65534

var errNotAccepted = errors.New("no process of this host has accepted the connection")

func peerOf(conn net.Conn) (p Peer, err error) {
	ours, ok := conn.LocalAddr().(*net.TCPAddr)
	theirs, ok2 := conn.RemoteAddr().(*net.TCPAddr)
	if !ok || !ok2 {
		return p, fmt.Errorf("%v is no TCP connection", conn.RemoteAddr())
	}
	m, err := diagnoseOne(theirs.AddrPort(), ours.AddrPort())
	switch {
	case err == unix.ENOENT:
		return p, errNotAccepted // it has ended, or is of another host
	case err != nil:
		return p, fmt.Errorf("the kernel does not say to whom the connection's other end belongs:"+
			" %w", err)
	case m.state() != stateOfEstablished || m.port() != theirs.AddrPort().Port() || m.inode() == 0:
		// not yet, or closed: of such a socket the kernel has root as the owner
		return p, errNotAccepted
	case m.uid() == overflowUser:
		return p, errors.New("the connection's other end belongs to a user who has no number here")
	}
	return Peer{m.uid(), m.inode()}, nil
}

const stateOfEstablished = 1 // TCP_ESTABLISHED

func (m message) state() byte { return m[1] }

// diagnoseOne asks for the one socket with these two addresses. Where there is none it may be one
// that listens, else the error is ENOENT.
func diagnoseOne(source, to netip.AddrPort) (message, error) {
	source = netip.AddrPortFrom(source.Addr().Unmap(), source.Port())
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	family := byte(unix.AF_INET)
	if source.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := diagSocket()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	req := diagRequest(family, ^uint32(0), source.Port(), to.Port(), 0)
	id := req[diagID:]
	copy(id[4:], source.Addr().AsSlice())
	copy(id[20:], to.Addr().AsSlice())
	for i := 40; i < 48; i++ { // INET_DIAG_NOCOOKIE
		id[i] = 0xff
	}
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var buf [1 << 12]byte
	n, _, err := unix.Recvfrom(fd, buf[:], 0)
	for err == unix.EINTR {
		n, _, err = unix.Recvfrom(fd, buf[:], 0)
	}
	if err != nil {
		return nil, err
	}
	native := binary.NativeEndian
	if n < diagHeader+4 {
		return nil, fmt.Errorf("netlink reply of %d bytes", n)
	}
	switch kind := native.Uint16(buf[4:]); {
	case kind == unix.NLMSG_ERROR:
		return nil, unix.Errno(-int32(native.Uint32(buf[diagHeader:])))
	case kind != unix.SOCK_DIAG_BY_FAMILY || n < diagHeader+72:
		return nil, fmt.Errorf("netlink message of type %d and %d bytes", kind, n)
	}
	return message(buf[diagHeader:n]), nil
}

// holdFor bounds the look for one connection of a process, which may have half a million.
const holdFor = 2 * time.Second

func holds(ctx context.Context, pid int, peer Peer) bool {
	dir, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	return err == nil && isAmong(ctx, dir, peer)
}

func (in *Inspection) holds(ctx context.Context, peer Peer) bool {
	fd, err := unix.Openat(int(in.dir.Fd()), "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err == nil && isAmong(ctx, os.NewFile(uintptr(fd), "fd"), peer)
}

// isAmong reports whether the peer's socket is among a process's descriptors.
func isAmong(ctx context.Context, descriptors *os.File, peer Peer) (is bool) {
	ctx, cancel := context.WithTimeout(ctx, holdFor)
	defer cancel()
	eachSocketIn(ctx, descriptors, maxDescriptors, func(inode uint32) bool {
		is = inode == peer.inode
		return !is
	})
	return is
}
