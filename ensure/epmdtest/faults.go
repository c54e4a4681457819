package epmdtest

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// Fault is a way for a [Server] to misbehave. Several may be given: [Slow] goes with all that
// reply, and [Cut] with [Slow], [Garbage], [Flood] and [WrongPort]; [Reset] goes before [Silent],
// and both before all others. What a request does (a registration, a KILL) is done all the same,
// where a reply, even a wrong one, is due.
type Fault func(*faults)

// faults are those in force for a connection.
type faults struct {
	silent, garbage, flood, reset, relaxed bool

	slow        time.Duration
	cut         int           // -1: none
	port        uint16        // that NAMES and DUMP tell
	refuseAfter int           // -1: never
	idle        time.Duration // how long the next byte of a request may take
	delay       time.Duration // before a reply, during which no other is made
}

var (
	// Silent accepts and reads, and never answers.
	Silent Fault = func(f *faults) { f.silent = true }

	// Garbage replies with 256 random bytes, the same each time, and closes.
	Garbage Fault = func(f *faults) { f.garbage = true }

	// Flood replies as it ought to and goes on, with endless bytes, until the peer goes.
	Flood Fault = func(f *faults) { f.flood = true }

	// Reset answers every connection with a TCP reset as soon as it is accepted.
	Reset Fault = func(f *faults) { f.reset = true }

	// Relaxed is no fault but the -relaxed_command_check of epmd(1): KILL is obeyed while nodes are
	// registered, and STOP at all.
	Relaxed Fault = func(f *faults) { f.relaxed = true }
)

// Slow replies one byte at a time and waits d before each.
func Slow(d time.Duration) Fault { return func(f *faults) { f.slow = d } }

// PacketTimeout is no fault but the -packet_timeout of epmd(1): so long may a connection without a
// node be idle. Without it, 60 seconds.
func PacketTimeout(d time.Duration) Fault { return func(f *faults) { f.idle = d } }

// DelayWrite is the -delay_write of epmd(1), a busy daemon: it waits d before each reply, and
// answers nobody else meanwhile.
func DelayWrite(d time.Duration) Fault { return func(f *faults) { f.delay = d } }

// Cut closes the connection after the first n bytes of a reply. A reply that is not longer than
// that stays whole.
func Cut(n int) Fault { return func(f *faults) { f.cut = n } }

// WrongPort tells that port as epmd's own, in the first 4 bytes of the replies to NAMES and DUMP.
func WrongPort(port uint16) Fault { return func(f *faults) { f.port = port } }

// RefuseAfter stops listening when n more connections were accepted, for good: those after them are
// refused. 0 refuses the next one.
func RefuseAfter(n int) Fault { return func(f *faults) { f.refuseAfter = n } }

// combine makes those in force for an epmd at that port.
func combine(list []Fault, port uint16) faults {
	f := faults{port: port, cut: -1, refuseAfter: -1, idle: packetTimeout}
	for _, set := range list {
		set(&f)
	}
	return f
}

// send writes the reply, or what the faults make of it. It returns false unless that was the reply
// and the reply alone.
func (f *faults) send(c net.Conn, reply []byte, end <-chan struct{}) bool {
	if f.garbage {
		reply = make([]byte, 256)
		rand.NewChaCha8([32]byte{}).Read(reply)
	}
	var r io.Reader = bytes.NewReader(reply)
	if f.flood {
		r = io.MultiReader(r, endless{})
	}
	if f.cut >= 0 {
		r = io.LimitReader(r, int64(f.cut))
	}
	if f.slow > 0 {
		r = slowly{r, f.slow, end}
	}
	n, err := io.Copy(c, r)
	return err == nil && n == int64(len(reply)) && !f.garbage
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

type slowly struct {
	io.Reader
	d   time.Duration
	end <-chan struct{}
}

func (s slowly) Read(b []byte) (int, error) {
	select {
	case <-time.After(s.d):
		return s.Reader.Read(b[:1])
	case <-s.end:
		return 0, io.ErrClosedPipe
	}
}
