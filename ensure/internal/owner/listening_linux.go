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
	"syscall"

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

// query is what the kernel is asked for: sockets in those states, with those ports if they are not 0.
type query struct {
	states     uint32
	source, to int
}

const (
	stateEstablished = 1 << 1  // TCP_ESTABLISHED
	stateListen      = 1 << 10 // TCP_LISTEN
)

// diagnosed asks the kernel, see sock_diag(7). It takes a tenth of a millisecond; the kernel's tables take several, for all
// their empty places are looked at.
func diagnosed(q query) (sockets []Socket, _ error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, err
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if sockets, err = diagnose(fd, family, q, sockets); err != nil {
			return nil, err
		}
	}
	return sockets, nil
}

// diagnose has the kernel dump the sockets with that family of addresses.
func diagnose(fd int, family byte, q query, sockets []Socket) ([]Socket, error) {
	const (
		header = unix.SizeofNlMsghdr
		length = header + 8 + 48 // struct inet_diag_req_v2 with its inet_diag_sockid

		// places in struct inet_diag_msg
		source  = 4
		address = 8
		wqueue  = 60
		uid     = 64
		inode   = 68
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
		return nil, err
	}
	buf := make([]byte, 1<<15)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return sockets, nil
			case m.Header.Type != unix.SOCK_DIAG_BY_FAMILY || len(m.Data) < inode+4:
				return nil, fmt.Errorf("netlink message of type %d", m.Header.Type)
			}
			size := 4
			if family == unix.AF_INET6 {
				size = 16
			}
			addr, _ := netip.AddrFromSlice(m.Data[address : address+size])
			sockets = append(sockets, Socket{
				Addr:    netip.AddrPortFrom(addr, binary.BigEndian.Uint16(m.Data[source:])),
				UID:     int(native.Uint32(m.Data[uid:])),
				Backlog: int(native.Uint32(m.Data[wqueue:])),
				inode:   socketLink(native.Uint32(m.Data[inode:]))})
		}
	}
}

func socketLink[N uint32 | string](inode N) string { return fmt.Sprintf("socket:[%v]", inode) }

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
