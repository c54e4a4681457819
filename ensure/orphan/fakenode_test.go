package orphan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// listener is a server in the test: the nth connection is for the nth function, and all that follow
// for the last one.
type listener struct {
	addr  netip.AddrPort
	count atomic.Int32 // of connections
}

func listen(t *testing.T, serve ...func(net.Conn)) *listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	s := &listener{addr: l.Addr().(*net.TCPAddr).AddrPort()}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			f := serve[min(int(s.count.Add(1)), len(serve))-1]
			wg.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(10 * time.Second))
				f(c)
			})
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return s
}

// says replies to the first message and leaves.
func says(reply string) func(net.Conn) {
	return func(c net.Conn) {
		getMessage(c)
		io.WriteString(c, reply)
	}
}

// isSilent replies nothing until the other one leaves.
func isSilent(c net.Conn) { io.Copy(io.Discard, c) }

func getMessage(c net.Conn) []byte {
	var size [2]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		return nil
	}
	b := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(c, b); err != nil {
		return nil
	}
	return b
}

func message(b ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

const fakeChallenge = 0xfedcba98

// challenge6 and challenge5 are the node's second message, in both versions.
func challenge6(name string, flags uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'N'}, flags)
	b = binary.BigEndian.AppendUint32(b, fakeChallenge)
	b = binary.BigEndian.AppendUint32(b, 7) // creation
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return message(append(b, name...)...)
}

func challenge5(name string, flags uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'n', 0, 5}, flags)
	return message(append(binary.BigEndian.AppendUint32(b, fakeChallenge), name...)...)
}

// fakeNode is a node of OTP 23 or later: it has a cookie, and answers a call with the result, which
// may be nil.
type fakeNode struct {
	name, cookie, lie string                          // the cookie in its own digest, where it lies
	noise             [][]byte                        // messages that it sends before the reply
	call              func(args list) (result []byte) // nil: it leaves
}

func (n fakeNode) serve(c net.Conn) {
	if hello := getMessage(c); len(hello) < 15 || hello[0] != 'N' || binary.BigEndian.Uint64(hello[1:])&flagPublished != 0 {
		return
	}
	c.Write(message([]byte("sok")...))
	c.Write(challenge6(n.name, flagPublished|ourFlags6))
	reply := getMessage(c)
	if len(reply) != 21 || reply[0] != 'r' || !bytes.Equal(reply[5:], digest(fakeChallenge, n.cookie)) {
		return
	}
	if n.lie != "" {
		n.cookie = n.lie
	}
	c.Write(message(append([]byte{'a'}, digest(binary.BigEndian.Uint32(reply[1:]), n.cookie)...)...))
	if n.call == nil {
		isSilent(c)
		return
	}
	for {
		var size [4]byte
		io.ReadFull(c, size[:])
		request := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<16))
		if _, err := io.ReadFull(c, request); err != nil || len(request) < 2 || request[0] != 112 || request[1] != tagVersion {
			return
		}
		control, rest, err := readTerm(request[2:])
		if err != nil || show(control) != "{6,pid,,rex}" || rest[0] != tagVersion {
			return
		}
		asked, rest, err := readTerm(rest[1:])
		if err != nil || len(rest) != 0 {
			return
		}
		// {Pid, {call, Module, Function, Args, GroupLeader}}
		for _, b := range n.noise {
			c.Write(long(b))
		}
		result := n.call(asked.([]any)[1].([]any)[3].(list))
		if result == nil {
			return
		}
		c.Write(long(result))
	}
}

func long(b []byte) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...) }

// fromRex is a reply as a node sends it: {2, Unused, To}, then {rex, result}.
func fromRex(result any) []byte {
	b := appendTerm([]byte{112, tagVersion}, []any{2, atom(""), pid{"me@host", 1}})
	return appendTerm(append(b, tagVersion), []any{atom("rex"), result})
}
