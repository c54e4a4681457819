package owner

// programs asks the system's own netstat and tasklist. Neither tells arguments or users.
func programs(match func(name string) bool) (found []Program) {
	var sockets map[int][]Socket
	for _, p := range parseTasklist(say("tasklist", "/FO", "CSV", "/NH")) {
		if !match(p.Name) {
			continue
		}
		if sockets == nil {
			sockets = parseNetstat(say("netstat", "-ano", "-p", "TCP"))
		}
		found = append(found, Program{Process: p, Sockets: sockets[p.PID]})
	}
	return found
}
