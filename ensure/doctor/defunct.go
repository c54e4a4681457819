package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/beamrun/beamrun/internal/owner"
)

// waitsFor is how long a parent may take to wait for a child that has ended.
const waitsFor = 200 * time.Millisecond

// defunct: epmds that have ended and stay, for their parent does not wait for them. That is a
// container, most often, in which the first process is a program that knows nothing of it.
func (h *host) defunct(ctx context.Context) Check {
	mine := func() []owner.Defunct {
		return slices.DeleteFunc(owner.Defuncts(ctx, "epmd"), func(d owner.Defunct) bool {
			return os.Geteuid() != 0 && d.UID != os.Geteuid()
		})
	}
	before := mine()
	if len(before) == 0 {
		return Check{}
	}
	select {
	case <-ctx.Done():
		return Check{}
	case <-time.After(waitsFor):
	}
	var said []string
	first := false // the first process of a container, or init
	for _, d := range mine() {
		if slices.Contains(before, d) {
			said = append(said, fmt.Sprintf("pid %d, of %v", d.PID, d.Parent))
			first = first || d.Parent.PID == 1
		}
	}
	if len(said) == 0 {
		return Check{}
	}
	c := found(Warn, "%s ended, and their parents do not wait for them: %s",
		count(len(said), "epmd"), shortList(said))
	const withInit = "docker run --init, or init: true in compose.yaml"
	if first {
		return c.advise("each keeps a pid; start the container with an init: " + withInit)
	}
	return c.advise("each keeps a pid until its parent waits, or ends;" +
		" where they become those of a container's pid 1: " + withInit)
}
