package owner

import "time"

// Patience is how long [OfPortSoon] looks. An error without the name of a process is better than a
// late one: a user with a million of descriptors makes that take seconds.
const Patience = 200 * time.Millisecond

// OfPortSoon is [OfPort] within [Patience].
func OfPortSoon(port uint16) (Process, bool) {
	type answer struct {
		Process
		ok bool
	}
	found := make(chan answer, 1)
	go func() {
		p, ok := OfPort(port)
		found <- answer{p, ok}
	}()
	select {
	case a := <-found:
		return a.Process, a.ok
	case <-time.After(Patience):
		return Process{}, false
	}
}
