//go:build unix && !linux

package owner

import (
	"context"
	"os"
	"strconv"
	"strings"
)

// programs are those that listen: lsof(8) shows root all of them, and others their own.
func programs(ctx context.Context, match func(name string) bool) (found []Program, unseen int) {
	for _, p := range parseLsof(say(ctx, "lsof", "-nP", "-iTCP", "-sTCP:LISTEN", "-F", "pcun")) {
		if match(p.Name) {
			// ps does not tell where an argument with spaces ends
			p.Args = strings.Fields(say(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(p.PID)))
			p.Closed = os.Geteuid() != 0 && os.Geteuid() != p.UID
			found = append(found, p)
		}
	}
	return found, 0
}
