package ensure

import (
	"context"
	"sync"
	"time"
)

// waitingAfter is when Config.Waiting is called.
const waitingAfter = time.Second

// until is a context with a deadline, but without a timer: the first timer of a process costs
// system calls. On Linux [epmd.Ping] looks at the deadline itself.
type until struct {
	context.Context
	end time.Time
}

func (u until) Deadline() (time.Time, bool) {
	if end, ok := u.Context.Deadline(); ok && end.Before(u.end) {
		return end, true
	}
	return u.end, true
}

// call is the context of one call of [Epmd] or [Probe].
type call struct {
	until
	begin    time.Time
	waiting  func(Endpoint) // as in Config
	endpoint *Endpoint      // of the Result, on the heap: on the stack it would make that grow
	said     sync.Once
}

func (c *call) Err() error {
	if c.waiting != nil && time.Since(c.begin) >= waitingAfter {
		c.say()
	}
	return c.Context.Err()
}

func (c *call) say() {
	c.said.Do(func() { c.waiting(*c.endpoint) })
}

// sayInTime calls say at its time with a timer, until stop is called.
func (c *call) sayInTime() (stop func() bool) {
	if c.waiting == nil {
		return func() bool { return true }
	}
	return time.AfterFunc(time.Until(c.begin.Add(waitingAfter)), c.say).Stop
}
