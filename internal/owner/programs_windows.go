package owner

import "context"

// programs asks the system's own netstat and tasklist. Neither tells arguments or users.
func programs(ctx context.Context, match func(name string) bool) (found []Program, unseen int) {
	var sockets map[int][]Socket
	for _, p := range parseTasklist(say(ctx, "tasklist", "/FO", "CSV", "/NH")) {
		if !match(p.Name) {
			continue
		}
		if sockets == nil {
			sockets = parseNetstat(say(ctx, "netstat", "-ano", "-p", "TCP"))
		}
		found = append(found, Program{Process: p, Sockets: sockets[p.PID]})
	}
	return found, 0
}
