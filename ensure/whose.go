package ensure

import (
	"time"

	"github.com/beamrun/beamrun/internal/owner"
)

// naming is how long it may take to find out which process has a port. An error without its name is better than a late one: a user
// with a million of descriptors makes that take seconds.
const naming = 100 * time.Millisecond

// ownerOf is [owner.OfPort] in time.
func ownerOf(port int) (owner.Process, bool) {
	type answer struct {
		owner.Process
		ok bool
	}
	found := make(chan answer, 1)
	go func() {
		p, ok := owner.OfPort(port)
		found <- answer{p, ok}
	}()
	select {
	case a := <-found:
		return a.Process, a.ok
	case <-time.After(naming):
		return owner.Process{}, false
	}
}
