// Package listener tells which process has a TCP port or a lock, where the operating system says so.
package listener

import "fmt"

// Process is a process that has something.
type Process struct {
	PID  int
	Name string // what ps calls it
}

func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }

// On returns the process that listens on the TCP port at any address of this host. It returns false when there is
// none, when it belongs to somebody whose processes we may not look into, and on every system but Linux.
func On(port int) (Process, bool) { return on(port) }

// Holds says whether that very process listens on the TCP port. It returns true on every system but Linux.
func Holds(pid, port int) bool { return holds(pid, port) }

// Locks returns the process that holds the flock(2) of a file. It returns false when nobody does, and on every system
// but Linux.
func Locks(path string) (Process, bool) { return locks(path) }
