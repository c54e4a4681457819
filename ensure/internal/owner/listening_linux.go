package owner

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// inodes are those of the sockets that listen on the port, as /proc/PID/fd names them.
func inodes(port int) map[string]bool {
	found := map[string]bool{}
	for _, s := range listening(port) {
		found[s.inode] = true
	}
	return found
}

func listening(port int) []Socket {
	sockets, err := diagnosed(query{states: stateListen, source: port})
	if err != nil { // gVisor, a kernel without inet_diag
		return tabled(port)
	}
	return sockets
}

func connected(port int) []Socket {
	sockets, _ := diagnosed(query{states: stateEstablished, to: port}) // nobody's word but the kernel's is quick enough
	return sockets
}

// ports returns those that somebody listens on: listening(0) in half the time, which counts where there are a thousand.
func ports() map[uint16]bool {
	found := map[uint16]bool{}
	if diagnose(query{states: stateListen}, func(m message) { found[m.port()] = true }) != nil {
		for _, s := range tabled(0) {
			found[s.Addr.Port()] = true
		}
	}
	return found
}

// query is what the kernel is asked for: sockets in those states, with those ports if they are not 0.
type query struct {
	states     uint32
	source, to int
}

const (
	stateEstablished = 1 << 1  // TCP_ESTABLISHED
	stateListen      = 1 << 10 // TCP_LISTEN
)

func diagnosed(q query) (sockets []Socket, _ error) {
	err := diagnose(q, func(m message) {
		sockets = append(sockets, Socket{Addr: netip.AddrPortFrom(m.addr(), m.port()), UID: m.uid(), Backlog: m.backlog(), inode: socketLink(strconv.FormatUint(uint64(m.inode()), 10))})
	})
	return sockets, err
}

// message is a struct inet_diag_msg.
type message []byte

func (m message) port() uint16  { return binary.BigEndian.Uint16(m[4:]) }
func (m message) backlog() int  { return int(binary.NativeEndian.Uint32(m[60:])) }
func (m message) uid() int      { return int(binary.NativeEndian.Uint32(m[64:])) }
func (m message) inode() uint32 { return binary.NativeEndian.Uint32(m[68:]) }

func (m message) addr() netip.Addr {
	size := 4
	if m[0] == unix.AF_INET6 {
		size = 16
	}
	addr, _ := netip.AddrFromSlice(m[8 : 8+size])
	return addr
}

// diagnose asks the kernel, see sock_diag(7). It takes a tenth of a millisecond; the kernel's tables take several, for all
// their empty places are looked at.
func diagnose(q query, each func(message)) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return err
	}
	buf := make([]byte, 1<<15)
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := dump(fd, family, q, buf, each); err != nil {
			return err
		}
	}
	return nil
}

// dump asks for the sockets with that family of addresses.
func dump(fd int, family byte, q query, buf []byte, each func(message)) error {
	const (
		header = unix.SizeofNlMsghdr
		length = header + 8 + 48 // struct inet_diag_req_v2 with its inet_diag_sockid
	)
	req := make([]byte, length)
	native := binary.NativeEndian
	native.PutUint32(req, length)
	native.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req[header], req[header+1] = family, unix.IPPROTO_TCP
	native.PutUint32(req[header+4:], q.states)
	binary.BigEndian.PutUint16(req[header+8:], uint16(q.source))
	binary.BigEndian.PutUint16(req[header+10:], uint16(q.to))
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for b := buf[:n]; len(b) >= header; {
			size, kind := int(native.Uint32(b)), native.Uint16(b[4:])
			switch {
			case kind == unix.NLMSG_DONE:
				return nil
			case kind != unix.SOCK_DIAG_BY_FAMILY || size < header+72 || size > len(b):
				return fmt.Errorf("netlink message of type %d and %d bytes", kind, size)
			}
			each(message(b[header:size]))
			b = b[min((size+3)&^3, len(b)):] // each begins at a multiple of 4 bytes
		}
	}
}

func socketLink(inode string) string { return "socket:[" + inode + "]" }

// tabled looks the port up in the kernel's tables, proc_pid_net(5).
func tabled(port int) (sockets []Socket) {
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, _ := os.ReadFile(table) // no tcp6 without IPv6
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st … uid timeout inode; an address is HEX:PORT, state 0A is LISTEN
			f := strings.Fields(line)
			if len(f) <= 9 || f[3] != "0A" {
				continue
			}
			addr, ok := parseHex(f[1])
			if ok && (port == 0 || int(addr.Port()) == port) {
				uid, _ := strconv.Atoi(f[7])
				sockets = append(sockets, Socket{Addr: addr, UID: uid, Backlog: UnknownBacklog, inode: socketLink(f[9])})
			}
		}
	}
	return sockets
}

// parseHex reads an address of those tables: words of 4 bytes in the machine's order, and a port.
func parseHex(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	n, perr := strconv.ParseUint(port, 16, 16)
	if err != nil || perr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(b, 4) {
		binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
	}
	addr, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr, uint16(n)), ok
}
