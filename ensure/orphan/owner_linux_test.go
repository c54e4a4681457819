package orphan

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/dist/disttest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// The challenge of a connection whose other end is another user's by the time it is answered gets
// no answer, and nor does one of a user without a number. (The socket changes hands here as no
// socket does; what the kernel says of it is what counts.)
func TestNoAnswerToOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can give a socket away")
	}
	for _, c := range []struct {
		uid, pid int
		refused  bool
	}{
		{0, os.Getpid(), false},
		{54321, os.Getpid(), true},
		{65534, os.Getpid(), true},
		{0, os.Getppid(), true}, // a process of the same user, in a container, which took the port of a node that has ended
	} {
		uid, refused := c.uid, c.refused
		var answers atomic.Int32
		server := epmdtest.New(t)
		node := disttest.Node{Name: "n@h", Cookie: "secret0", Call: func(args dist.List) []byte {
			server.Register("n", uint16(args[1].(int)))
			return disttest.FromRex([]any{dist.Atom("ok"), 1})
		}}
		l := disttest.Listen(t, func(c net.Conn) {
			raw, err := c.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Error(err)
			}
			raw.Control(func(fd uintptr) { err = syscall.Fchown(int(fd), uid, uid) })
			if err != nil {
				t.Error(err)
			}
			node.Serve(&countingConn{c, &answers})
		})
		err := Node{Name: "n@h", Addr: l.Addr, PID: c.pid}.Register(t.Context(), server.Addr(), "secret0")
		var e *Problem
		if refused && (!errors.As(err, &e) || e.Kind != KindUser || answers.Load() != 0) || !refused && err != nil {
			t.Errorf("uid %d: %v, %d bytes of an answer", uid, err, answers.Load())
		}
	}
}

// countingConn counts what is read after the first message: of the answer to the challenge.
type countingConn struct {
	net.Conn
	answers *atomic.Int32
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && b[0] == 'r' {
		c.answers.Add(int32(n))
	}
	return n, err
}
