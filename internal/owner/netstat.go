package owner

import (
	"encoding/csv"
	"strconv"
	"strings"
)

// parseNetstat reads what Windows' `netstat -ano -p TCP` prints: TCP, the address, the peer's, the
// state and the process. The words are of the user's language, so a socket that listens is told by
// a peer with port 0.
func parseNetstat(text string) map[int][]Socket {
	of := map[int][]Socket{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 5 || f[0] != "TCP" || !strings.HasSuffix(f[2], ":0") {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		if addr, ok := parseListening(f[1]); ok && err == nil {
			of[pid] = append(of[pid], Socket{Addr: addr, Backlog: UnknownBacklog})
		}
	}
	return of
}

// parseTasklist reads what `tasklist /FO CSV /NH` prints: a process's name and number, and more.
func parseTasklist(text string) (all []Process) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord = -1
	for {
		f, err := r.Read()
		if err != nil {
			return all
		}
		if len(f) < 2 {
			continue
		}
		if pid, err := strconv.Atoi(f[1]); err == nil {
			all = append(all, Process{PID: pid, Name: strings.TrimSuffix(f[0], ".exe")})
		}
	}
}
