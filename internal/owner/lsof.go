package owner

import (
	"net/netip"
	"strconv"
	"strings"
)

// parseLsof reads what `lsof -nP -iTCP -sTCP:LISTEN -F pcun` prints, where there is no /proc: a
// field a line, by its first letter the process's number, its name, its user's number, and for each
// socket its descriptor (f) and what it listens on (n).
func parseLsof(text string) (all []Program) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if line[0] == 'p' {
			pid, _ := strconv.Atoi(line[1:])
			all = append(all, Program{Process: Process{PID: pid}})
		}
		if len(all) == 0 {
			continue
		}
		p := &all[len(all)-1]
		switch line[0] {
		case 'c':
			p.Name = line[1:]
		case 'u':
			p.UID, _ = strconv.Atoi(line[1:])
		case 'n':
			if addr, ok := parseListening(line[1:]); ok {
				s := Socket{Addr: addr, UID: p.UID, Backlog: UnknownBacklog}
				p.Sockets = append(p.Sockets, s)
			}
		}
	}
	return all
}

// parseListening reads an address in the form of lsof and netstat: *:4369, 127.0.0.1:4369,
// [::]:4369.
func parseListening(s string) (netip.AddrPort, bool) {
	if port, is := strings.CutPrefix(s, "*:"); is {
		s = "0.0.0.0:" + port
	}
	addr, err := netip.ParseAddrPort(s)
	return addr, err == nil
}
