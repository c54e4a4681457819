// Package listener tells which process listens on a TCP port, where the operating system says so.
package listener

import "fmt"

// Process is a process that listens.
type Process struct {
	PID  int
	Name string // what ps calls it
}

func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", p.Name, p.PID) }

// On returns the process that listens on the TCP port at any address of this host. It returns false when there is
// none, when it belongs to somebody whose processes we may not look into, and on every system but Linux.
func On(port int) (Process, bool) { return on(port) }
