package dist

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// Call has the node evaluate module:function(args...), by its server rex and in the form that OTP's
// own erl_call uses, and returns the result: what the function returned, or {badrpc, Reason}.
func (p *Peer) Call(module, function string, args ...any) (any, error) {
	const (
		passThrough = 112 // what stands before the two terms of a message
		regSend     = 6   // {6, From, Unused, ToName}
		sendTo      = 2   // {2, Unused, To}
		maxReply    = 1 << 20
	)
	self := PID{Atom(OurName()), uint32(os.Getpid())}
	m := AppendTerm([]byte{passThrough, TagVersion}, []any{regSend, self, Atom(""), Atom("rex")})
	call := []any{Atom("call"), Atom(module), Atom(function), List(args), Atom("user")}
	m = AppendTerm(append(m, TagVersion), []any{self, call})
	_, err := p.conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...))
	if err != nil {
		return nil, p.cause(err)
	}
	for {
		var size [4]byte
		if _, err := io.ReadFull(p.conn, size[:]); err != nil {
			return nil, p.cause(err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if n > maxReply {
			return nil, fmt.Errorf("a message of %d bytes", n)
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(p.conn, message); err != nil {
			return nil, p.cause(err)
		}
		if len(message) < 2 || message[0] != passThrough || message[1] != TagVersion {
			continue // a tick, which is empty
		}
		control, rest, err := ReadTerm(message[2:])
		c, ok := control.([]any)
		if err != nil || !ok || len(c) != 3 || c[0] != sendTo || len(rest) < 1 {
			continue // monitors, links and the like are not ours
		}
		reply, _, err := ReadTerm(rest[1:])
		if err != nil {
			return nil, fmt.Errorf("the node's reply: %w", err)
		}
		if r, ok := reply.([]any); ok && len(r) == 2 && r[0] == Atom("rex") {
			return r[1], nil
		}
	}
}
