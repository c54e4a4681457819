package ensure

import (
	"context"
	"sync"
	"time"
)

// waitingAfter is when Config.Waiting is called.
const waitingAfter = time.Second

// call is the context of one call of [Epmd] or [Probe]. It has a deadline, but no timer, for the
// first timer of a process costs system calls: a probe on Linux looks at its context and at the
// deadline every 20 ms.
type call struct {
	context.Context
	waiting    func(Endpoint) // as in Config
	endpoint   *Endpoint      // of the Result, which so is on the heap: on the stack it would make that grow
	begin, end time.Time
	told       sync.Once
}

func (c *call) Deadline() (time.Time, bool) {
	if end, ok := c.Context.Deadline(); ok && end.Before(c.end) {
		return end, true
	}
	return c.end, true
}

func (c *call) Err() error {
	if c.waiting != nil && time.Since(c.begin) >= waitingAfter {
		c.tell()
	}
	return c.Context.Err()
}

func (c *call) tell() {
	c.told.Do(func() { c.waiting(*c.endpoint) })
}

// tellInTime calls tell at its time with a timer, until stop is called.
func (c *call) tellInTime() (stop func() bool) {
	if c.waiting == nil {
		return func() bool { return true }
	}
	return time.AfterFunc(time.Until(c.begin.Add(waitingAfter)), c.tell).Stop
}
