// Package owner tells which process has a TCP port or a lock, and which run an Erlang VM, where the operating system says so.
package owner

import (
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/beamrun/beamrun/internal/shell"
)

// Process is a process that has something.
type Process struct {
	PID  int
	Name string // what ps calls it: any bytes, as the process likes
}

func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", shell.Line(p.Name), p.PID) }

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

// Socket is a TCP socket that listens, or one end of a connection.
type Socket struct {
	Addr    netip.AddrPort // its own
	UID     int            // of who made it
	Backlog int            // of listen(2), or UnknownBacklog

	inode string
}

// UnknownBacklog is the backlog where the system does not say it.
const UnknownBacklog = -1

// Listening returns the sockets that listen on the port, or on any if it is 0. It returns none on every system but Linux,
// where there are those of this network namespace.
func Listening(port int) []Socket { return listening(port) }

// Connected returns the ends of connections to the port that are on this host, as far as Listening would.
func Connected(port int) []Socket { return connected(port) }

// Ports returns the ports of Listening(0).
func Ports() map[uint16]bool { return ports() }

// OfSockets returns which process has each of the sockets, by its port, as far as OfPort would.
func OfSockets(sockets []Socket) map[uint16]Process { return ofSockets(sockets) }

// Program is a process with what can be seen of it.
type Program struct {
	Process
	UID     int
	Args    []string // its arguments, with the program's name first
	Sockets []Socket // that it listens on, in this network namespace

	// Closed says that the process is another user's, so that nobody tells its sockets or its environment.
	Closed bool

	// Elsewhere says that it runs in another network namespace.
	Elsewhere bool
}

// VMs returns the processes of this host that run an Erlang VM, none where nobody tells. On macOS, BSD and Windows they are
// those that listen, without what only /proc tells; on Windows, without arguments.
func VMs() []Program {
	return programs(func(name string) bool {
		return name == "beam" || strings.HasPrefix(name, "beam.") || // beam.smp, beam.debug.smp
			runtime.GOOS == "windows" && (name == "erl" || name == "werl")
	})
}

// Epmds returns those that run an epmd.
func Epmds() []Program { return programs(func(name string) bool { return name == "epmd" }) }

// Getenv returns a variable of the environment that the process was started with, "" where nobody tells.
func (p Process) Getenv(key string) string { return getenv(p.PID, key) }

// Path is where a file of the process's own mount namespace is seen from here.
func (p Process) Path(path string) string { return pathOf(p.PID, path) }

// Since is when the process was started; zero where nobody tells.
func (p Process) Since() time.Time { return since(p.PID) }

// Birth is when the process was started, as the kernel counts it, so that it is another for one that has the same pid later. It is "" when it
// has ended, waited for or not, and on every system but Linux.
func (p Process) Birth() string { return birth(p.PID) }

// Stopped says that the process is stopped by a signal (SIGSTOP).
func (p Process) Stopped() bool { return stopped(p.PID) }

// Terminal says that the process has a controlling terminal, whose end is its own.
func (p Process) Terminal() bool { return hasTerminal(p.PID) }
