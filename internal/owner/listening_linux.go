package owner

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxSockets is how many sockets of one user are kept at most: one user can listen on very many
// addresses, and nodes listen on one. maxOfOthers is how many of all other users together. Where
// there are more, those lose who have most of them.
const (
	maxSockets  = 1 << 14
	maxOfOthers = 1 << 16
)

func listening(port uint16) []Socket {
	sockets, err := diagnosed(query{states: stateListen, source: port})
	if err != nil { // gVisor, a kernel without inet_diag
		return tabled(port)
	}
	return sockets
}

func connected(port uint16) []Socket {
	// only the kernel itself is quick enough
	sockets, _ := diagnosed(query{states: stateEstablished, to: port})
	return sockets
}

// ports returns those that somebody listens on: listening(0) in half the time, which counts where
// there are a thousand.
func ports() map[uint16]bool {
	found := map[uint16]bool{}
	if diagnose(query{states: stateListen}, func(m message) { found[m.port()] = true }) != nil {
		for _, s := range tabled(0) {
			found[s.Addr.Port()] = true
		}
	}
	return found
}

// query is what the kernel is asked for: sockets in those states, with those ports if they are not
// 0.
type query struct {
	states     uint32
	source, to uint16
}

const (
	stateEstablished = 1 << 1  // TCP_ESTABLISHED
	stateListen      = 1 << 10 // TCP_LISTEN
)

func diagnosed(q query) ([]Socket, error) {
	return bounded(func(each func(Socket)) error {
		return diagnose(q, func(m message) {
			each(Socket{netip.AddrPortFrom(m.addr(), m.port()), m.uid(), m.backlog(), m.inode()})
		})
	})
}

// bounded returns as many of the sockets as are kept. It walks over them again where that leaves
// some out, to have as many of each user.
func bounded(walk func(each func(Socket)) error) (sockets []Socket, err error) {
	me, most := os.Geteuid(), maxSockets
	for {
		of, others := map[int]int{}, 0
		sockets = sockets[:0]
		err := walk(func(s Socket) {
			of[s.UID]++
			switch {
			case of[s.UID] > most && (s.UID != me || of[me] > maxSockets):
				return
			case s.UID != me:
				if others++; others > maxOfOthers {
					return
				}
			}
			sockets = append(sockets, s)
		})
		if err != nil || others <= maxOfOthers || most == 1 {
			return sockets, err
		}
		for sum := others; sum > maxOfOthers && most > 1; {
			most /= 2
			sum = 0
			for uid, n := range of {
				if uid != me {
					sum += min(n, most)
				}
			}
		}
	}
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

// diagnose asks the kernel, see sock_diag(7). It takes a tenth of a millisecond; the kernel's
// tables take several, for all their empty places are looked at.
func diagnose(q query, each func(message)) error {
	fd, err := diagSocket()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buf := make([]byte, 1<<15)
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := dump(fd, family, q, buf, each); err != nil {
			return err
		}
	}
	return nil
}

func diagSocket() (fd int, err error) {
	const kind = unix.SOCK_DGRAM | unix.SOCK_CLOEXEC
	fd, err = unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, err
	}
	err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	if err != nil {
		unix.Close(fd)
	}
	return fd, err
}

const (
	diagHeader = unix.SizeofNlMsghdr
	diagID     = diagHeader + 8 // of a request: struct inet_diag_sockid
	diagLength = diagID + 48    // struct inet_diag_req_v2
)

// diagRequest is the request for sockets with that family of addresses.
func diagRequest(family byte, states uint32, source, to uint16, flags uint16) []byte {
	req := make([]byte, diagLength)
	native := binary.NativeEndian
	native.PutUint32(req, diagLength)
	native.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(req[6:], unix.NLM_F_REQUEST|flags)
	req[diagHeader], req[diagHeader+1] = family, unix.IPPROTO_TCP
	native.PutUint32(req[diagHeader+4:], states)
	binary.BigEndian.PutUint16(req[diagID:], source)
	binary.BigEndian.PutUint16(req[diagID+2:], to)
	return req
}

// dump asks for all sockets with that family of addresses.
func dump(fd int, family byte, q query, buf []byte, each func(message)) error {
	const header = diagHeader
	native := binary.NativeEndian
	req := diagRequest(family, q.states, q.source, q.to, unix.NLM_F_DUMP)
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

// tabled looks the port up in the kernel's tables, proc_pid_net(5).
func tabled(port uint16) []Socket {
	sockets, _ := bounded(func(each func(Socket)) error {
		for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
			file, err := os.Open(table)
			if err != nil { // no tcp6 without IPv6
				continue
			}
			for lines := bufio.NewScanner(io.LimitReader(file, maxTable)); lines.Scan(); {
				// sl local_address rem_address st … uid timeout inode; an address is HEX:PORT,
				// state 0A is LISTEN
				f := strings.Fields(lines.Text())
				if len(f) <= 9 || f[3] != "0A" {
					continue
				}
				addr, ok := parseHex(f[1])
				if !ok || port != 0 && addr.Port() != port {
					continue
				}
				uid, _ := strconv.Atoi(f[7])
				inode, _ := strconv.ParseUint(f[9], 10, 32)
				each(Socket{addr, uid, UnknownBacklog, uint32(inode)})
			}
			file.Close()
		}
		return nil
	})
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
