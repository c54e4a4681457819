package ensure

import (
	"context"
	"sync"
	"time"
)

// waitingAfter is when Config.Waiting is called.
const waitingAfter = time.Second

// call is the context of one call of [Epmd] or [Probe]. It has a deadline, but no timer, for the first timer of a process costs
// system calls: a probe on Linux looks at its context and at the deadline every 20 ms.
type call struct {
	context.Context
	config     *Config
	endpoint   *Endpoint
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
	if c.config.Waiting != nil && time.Since(c.begin) >= waitingAfter {
		c.tell()
	}
	return c.Context.Err()
}

func (c *call) tell() {
	c.told.Do(func() { c.config.Waiting(*c.endpoint) })
}

// tellInTime calls tell at its time with a timer, until stop is called.
func (c *call) tellInTime() (stop func() bool) {
	if c.config.Waiting == nil {
		return func() bool { return true }
	}
	return time.AfterFunc(time.Until(c.begin.Add(waitingAfter)), c.tell).Stop
}
