// Package owner tells which process has a TCP port or a lock, where the operating system says so.
package owner

import "fmt"

// Process is a process that has something.
type Process struct {
	PID  int
	Name string // what ps calls it
}

func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }

// Session returns the pid of the process that leads its session, see setsid(2); 0 on every system but Linux.
func (p Process) Session() int { return session(p.PID) }

// OfPort returns the process that listens on the TCP port at any address of this host. It returns false when there is
// none, when it belongs to somebody whose processes we may not look into, and on every system but Linux.
func OfPort(port int) (Process, bool) { return ofPort(port) }

// HasPort says whether that very process listens on the TCP port. It returns true on every system but Linux.
func HasPort(pid, port int) bool { return hasPort(pid, port) }

// Followed is a process whose end will be told.
type Followed struct {
	Process
	Gone  <-chan struct{} // closed when it has ended
	Close func() error    // ends the wait for that
}

// Follow follows the process that listens on the TCP port now. It returns nil when nobody tells which that is, and on
// every system but Linux.
func Follow(port int) *Followed { return follow(port) }

// Wake continues the process (SIGCONT) if it is stopped, and says whether it did.
func (f *Followed) Wake() bool { return wake(f.PID) }

// OfLock returns the process that holds the flock(2) of a file. It returns false when nobody does, and on every system
// but Linux.
func OfLock(path string) (Process, bool) { return ofLock(path) }
