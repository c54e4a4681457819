package owner

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// listening returns the sockets that listen on the port, as /proc/PID/fd names them.
func listening(port int) map[string]bool {
	sockets, err := diagnosed(port)
	if err != nil { // gVisor, a kernel without inet_diag
		return tabled(port)
	}
	return sockets
}

// diagnosed asks the kernel, see sock_diag(7). It takes a tenth of a millisecond; the kernel's tables take several, for all
// their empty places are looked at.
func diagnosed(port int) (map[string]bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, err
	}
	sockets := map[string]bool{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := diagnose(fd, family, port, sockets); err != nil {
			return nil, err
		}
	}
	return sockets, nil
}

// diagnose has the kernel dump what listens on the port with that family of addresses.
func diagnose(fd int, family byte, port int, sockets map[string]bool) error {
	const (
		listen = 1 << 10 // TCP_LISTEN
		header = unix.SizeofNlMsghdr
		length = header + 8 + 48 // struct inet_diag_req_v2 with its inet_diag_sockid
		inode  = 68              // its place in struct inet_diag_msg
	)
	req := make([]byte, length)
	native := binary.NativeEndian
	native.PutUint32(req, length)
	native.PutUint16(req[4:], unix.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	req[header], req[header+1] = family, unix.IPPROTO_TCP
	native.PutUint32(req[header+4:], listen)
	binary.BigEndian.PutUint16(req[header+8:], uint16(port))
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<15)
	for {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		messages, err := syscall.ParseNetlinkMessage(buf[:n])
		if err != nil {
			return err
		}
		for _, m := range messages {
			switch {
			case m.Header.Type == unix.NLMSG_DONE:
				return nil
			case m.Header.Type != unix.SOCK_DIAG_BY_FAMILY || len(m.Data) < inode+4:
				return fmt.Errorf("netlink message of type %d", m.Header.Type)
			}
			sockets[fmt.Sprintf("socket:[%d]", native.Uint32(m.Data[inode:]))] = true
		}
	}
}

// tabled looks the port up in the kernel's tables, proc_pid_net(5).
func tabled(port int) map[string]bool {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, _ := os.ReadFile(table) // no tcp6 without IPv6
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st … uid timeout inode; an address is HEX:PORT, state 0A is LISTEN
			f := strings.Fields(line)
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				sockets["socket:["+f[9]+"]"] = true
			}
		}
	}
	return sockets
}
