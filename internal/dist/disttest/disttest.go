// Package disttest has what tests need of a node that speaks the distribution protocol.
package disttest

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

	"github.com/beamrun/beamrun/internal/dist"
)

// Listener is a server in the test.
type Listener struct {
	Addr  netip.AddrPort
	count atomic.Int32
}

// Connections returns how many there were.
func (l *Listener) Connections() int { return int(l.count.Load()) }

// Listen serves the nth connection by the nth function, and all that follow by the last one.
func Listen(t *testing.T, serve ...func(net.Conn)) *Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	s := &Listener{Addr: l.Addr().(*net.TCPAddr).AddrPort()}
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

// Says replies to the first message and leaves.
func Says(reply string) func(net.Conn) {
	return func(c net.Conn) {
		Message(c)
		io.WriteString(c, reply)
	}
}

// Silent replies nothing until the other one leaves.
func Silent(c net.Conn) { io.Copy(io.Discard, c) }

// Message reads a message of the handshake, nil if there is none.
func Message(c net.Conn) []byte {
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

// Packet is a message of the handshake, with its length.
func Packet(b ...byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

const fakeChallenge = 0xfedcba98

// Challenge6 is a node's second message, in version 6.
func Challenge6(name string, flags uint64) []byte {
	b := binary.BigEndian.AppendUint64([]byte{'N'}, flags)
	b = binary.BigEndian.AppendUint32(b, fakeChallenge)
	b = binary.BigEndian.AppendUint32(b, 7) // creation
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	return Packet(append(b, name...)...)
}

// Challenge5 is the same in version 5.
func Challenge5(name string, flags uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{'n', 0, 5}, flags)
	return Packet(append(binary.BigEndian.AppendUint32(b, fakeChallenge), name...)...)
}

// Node is a node of OTP 23 or later: it has a cookie, and answers a call with the result, which
// may be nil.
type Node struct {
	Name, Cookie string
	Lie          string                               // the cookie in its own digest, where it lies
	Noise        [][]byte                             // messages that it sends before the reply
	Call         func(args dist.List) (result []byte) // nil: it leaves
}

// Serve answers one connection.
func (n Node) Serve(c net.Conn) {
	hello := Message(c)
	if len(hello) < 15 || hello[0] != 'N' ||
		binary.BigEndian.Uint64(hello[1:])&dist.FlagPublished != 0 {
		return
	}
	c.Write(Packet([]byte("sok")...))
	c.Write(Challenge6(n.Name, dist.FlagPublished|dist.Flags6))
	reply := Message(c)
	if len(reply) != 21 || reply[0] != 'r' ||
		!bytes.Equal(reply[5:], dist.Digest(fakeChallenge, n.Cookie)) {
		return
	}
	if n.Lie != "" {
		n.Cookie = n.Lie
	}
	digest := dist.Digest(binary.BigEndian.Uint32(reply[1:]), n.Cookie)
	c.Write(Packet(append([]byte{'a'}, digest...)...))
	if n.Call == nil {
		Silent(c)
		return
	}
	for {
		var size [4]byte
		io.ReadFull(c, size[:])
		request := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<16))
		_, err := io.ReadFull(c, request)
		if err != nil || len(request) < 2 || request[0] != 112 || request[1] != dist.TagVersion {
			return
		}
		control, rest, err := dist.ReadTerm(request[2:])
		if err != nil || dist.Show(control) != "{6,pid,,rex}" || rest[0] != dist.TagVersion {
			return
		}
		asked, rest, err := dist.ReadTerm(rest[1:])
		if err != nil || len(rest) != 0 {
			return
		}
		// {Pid, {call, Module, Function, Args, GroupLeader}}
		for _, b := range n.Noise {
			c.Write(Long(b))
		}
		result := n.Call(asked.([]any)[1].([]any)[3].(dist.List))
		if result == nil {
			return
		}
		c.Write(Long(result))
	}
}

// Long is a message after the handshake, with its length.
func Long(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// FromRex is a reply as a node sends it: {2, Unused, To}, then {rex, result}.
func FromRex(result any) []byte {
	to := dist.PID{Node: "me@host", Creation: 1}
	b := dist.AppendTerm([]byte{112, dist.TagVersion}, []any{2, dist.Atom(""), to})
	return dist.AppendTerm(append(b, dist.TagVersion), []any{dist.Atom("rex"), result})
}
