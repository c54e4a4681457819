// Package owner finds out which process has a TCP port or a lock, and which run an Erlang VM, where
// the operating system shows it.
//
// Other users' processes are hostile: each read has a limit, their sum has one for each user and
// one for all, and a look into every process ends by a deadline. What was not looked at for that
// reason is counted, never left out in silence.
package owner

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
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

// String names the process in messages, on one line.
func (p Process) String() string { return fmt.Sprintf("%s (pid %d)", shell.Line(p.Name), p.PID) }

// Session returns the pid of the process that leads its session, see setsid(2); 0 on every system
// but Linux.
func (p Process) Session() int { return session(p.PID) }

// OfPort returns the process that listens on the TCP port at any address of this host. It returns
// false when there is none, when it belongs to somebody whose processes we may not look into, when
// it was not found within 250 ms, and on every system but Linux.
func OfPort(port uint16) (Process, bool) { return ofPort(port) }

// HasPort reports whether that very process listens on the TCP port. It returns true on every
// system but Linux.
func HasPort(pid int, port uint16) bool { return hasPort(pid, port) }

// Followed is a process whose end will be told.
type Followed struct {
	Process
	Gone  <-chan struct{} // closed when it has ended
	Close func() error    // ends the wait for that

	resume func() error // sends it SIGCONT, and no other process that has its pid later
}

// Follow follows the process that listens on the TCP port now. It returns nil when nobody tells
// which that is, and on every system but Linux.
func Follow(port uint16) *Followed { return follow(port) }

// Wake continues the process (SIGCONT) if it is stopped by a signal, and reports whether it did.
func (f *Followed) Wake() bool { return f.Stopped() && f.resume() == nil }

// OfLock returns the process that holds the flock(2) of a file. It returns false when nobody does,
// and on every system but Linux.
func OfLock(path string) (Process, bool) { return ofLock(path) }

// Socket is a TCP socket that listens, or one end of a connection.
type Socket struct {
	Addr    netip.AddrPort // its own
	UID     int            // of who made it
	Backlog int            // of listen(2), or UnknownBacklog

	inode uint32
}

// UnknownBacklog is the backlog where the system does not say it.
const UnknownBacklog = -1

// Listening returns the sockets that listen on the port, or on any if it is 0. It returns none on
// every system but Linux, where there are those of this network namespace.
func Listening(port uint16) []Socket { return listening(port) }

// Connected returns the ends of connections to the port that are on this host, as far as Listening
// would.
func Connected(port uint16) []Socket { return connected(port) }

// Ports returns the ports of Listening(0).
func Ports() map[uint16]bool { return ports() }

// OfSockets returns which process has each of the sockets, by its port, as far as OfPort would,
// until the context ends.
func OfSockets(ctx context.Context, sockets []Socket) map[uint16]Process {
	return ofSockets(ctx, sockets)
}

// Peer is the other end of a connection, at a process of this host that has accepted it.
type Peer struct {
	UID   int // of who made the socket
	inode uint32
}

// PeerOf returns the other end of a connection. This is what the kernel says of the socket itself,
// at this moment: whoever the process is and whatever it shows, the socket belongs to the user who
// made it. It returns an error where the kernel does not say so, and on every system but Linux.
func PeerOf(conn net.Conn) (Peer, error) { return peerOf(conn) }

// Holds reports whether the process has that end of the connection. Another process of the same
// user, in a container, may have taken its port.
func (p Process) Holds(ctx context.Context, peer Peer) bool { return holds(ctx, p.PID, peer) }

// Program is a process with what can be seen of it.
type Program struct {
	Process
	UID     int      // its user: the real, effective and saved one
	Args    []string // its arguments, with the program's name first
	Sockets []Socket // that its user made and it listens on, in this network namespace

	// Closed reports that this process may not look into it, or has not for the limits of this
	// package, or that it has the rights of several users at once: so its sockets and its
	// environment are not known.
	Closed bool

	// Elsewhere reports that it runs in another network namespace.
	Elsewhere bool

	// Apart reports that it has another mount namespace or root directory than this process: so a
	// path of its own means another file.
	Apart bool

	// Unmapped reports that it runs in another user namespace, where users have other numbers.
	Unmapped bool
}

// VMs returns the processes of this host that run an Erlang VM, and how many more there are, at
// least, that were not looked at, for the limits of this package or the context's end. On macOS,
// BSD and Windows they are those that listen, without what only /proc tells; on Windows, without
// arguments.
func VMs(ctx context.Context) (found []Program, unseen int) {
	return programs(ctx, func(name string) bool {
		return name == "beam" || strings.HasPrefix(name, "beam.") || // beam.smp, beam.debug.smp
			runtime.GOOS == "windows" && (name == "erl" || name == "werl")
	})
}

// Epmds returns those that run an epmd, as VMs does.
func Epmds(ctx context.Context) (found []Program, unseen int) {
	return programs(ctx, func(name string) bool { return name == "epmd" })
}

// Defunct is a process that has ended, and for which its parent does not wait.
type Defunct struct {
	Process
	UID    int
	Parent Process
}

// Defuncts returns the defunct processes of that name, until the context ends; none on every system
// but Linux. One whose parent is about to wait for it may be among them.
func Defuncts(ctx context.Context, name string) []Defunct { return defuncts(ctx, name) }

// Getenv returns a variable of the environment that the process was started with, "" where nobody
// tells.
func (p Process) Getenv(key string) string { return getenv(p.PID, key) }

// Root opens the root directory of the process: absolute paths that it uses, and links in them,
// begin there. The error is [errors.ErrUnsupported] on every system but Linux.
func (p Process) Root() (*os.File, error) { return rootOf(p.PID) }

// Inspection is a look into one process, held open: what is read by it later is of the same
// process, or fails, wherever the root directory of this process is by then.
type Inspection struct {
	UID, GID int
	Groups   []int
	Args     []string

	dir *os.File
}

// Inspect looks into a process that is of one user alone. It is for Linux.
func (p Process) Inspect() (*Inspection, error) { return inspect(p) }

// Getenv is [Process.Getenv], with the rights that this process has by now.
func (in *Inspection) Getenv(key string) string { return in.getenv(key) }

// Holds is [Process.Holds].
func (in *Inspection) Holds(ctx context.Context, peer Peer) bool { return in.holds(ctx, peer) }

// Close ends the look.
func (in *Inspection) Close() error { return in.dir.Close() }

// Since is when the process was started; zero where nobody tells.
func (p Process) Since() time.Time { return since(p.PID) }

// Birth is when the process was started, as the kernel counts it, so that it is another for one
// that has the same pid later. It is "" when it has ended, waited for or not, and on every system
// but Linux.
func (p Process) Birth() string { return birth(p.PID) }

// Stopped says that the process is stopped by a signal (SIGSTOP).
func (p Process) Stopped() bool { return stopped(p.PID) }

// User returns the user of the process, and false where that is not known.
func (p Process) User() (uid int, known bool) { return userOf(p.PID) }

// Deleted returns the path of the program that the process runs, if no file has that path by now:
// it was deleted, or another one has its place. It is "" else, where this user may not know, and on
// every system but Linux.
func (p Process) Deleted() string { return deleted(p.PID) }

// Terminal says that the process has a controlling terminal, whose end is its own.
func (p Process) Terminal() bool { return hasTerminal(p.PID) }
