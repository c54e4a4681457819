// Package dist is a client of Erlang's distribution protocol: it asks a node for its name, proves a
// cookie, and calls a function. It never lets a node in.
package dist

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/vmargs"
)

// This file is the client's side of the distribution handshake, chapter "Distribution Protocol" of
// the ERTS User's Guide, section "Distribution Handshake". Each message has a length of 2 bytes
// before it:
//
//	we    N flags:8 creation:4 length:2 name     our name: version 6, from OTP 23 on
//	      n version:2 flags:4 name               or version 5
//	node  s ok                                   or why not
//	node  N flags:8 challenge:4 creation:4 length:2 name
//	      n version:2 flags:4 challenge:4 name
//	we    r challenge:4 digest:16                here the node learns whether we have its cookie
//	node  a digest:16                            and here we, whether it has it
//
// So a node says its whole name before it asks for the cookie. One that is left then writes no line
// into its log.

// The flags that one side or the other has demanded since OTP 21, and those that make version 6.
const (
	FlagPublished   = 0x1 // not ours: we are hidden, so only who asks for hidden nodes sees us
	flagHandshake23 = 0x1000000

	Flags5 = 0x4 | // extended references
		0x10 | 0x80 | // fun tags, new fun tags
		0x100 | // extended pids and ports
		0x200 | 0x400 | 0x800 | // export pointers, bit strings, new floats
		0x10000 | 0x20000 | 0x40000 // UTF-8 atoms, maps, big creation
	Flags6 = Flags5 | flagHandshake23 |
		0x2000000 | 0x400000000 // unlink id, version 4 node containers
)

// Refusal is the error of a node that does not let us in, in its own word: "not_allowed", "nok" or
// "alive".
type Refusal string

func (r Refusal) Error() string {
	return fmt.Sprintf("the node does not take the connection: %q", string(r))
}

// What else may listen, or answer.
var (
	ErrNotNode = errors.New("it does not speak Erlang's distribution protocol")
	ErrTLS     = errors.New("it speaks TLS (-proto_dist inet_tls)")
	ErrCookie  = errors.New("the node has another cookie")
)

// Peer is a connection to a node.
type Peer struct {
	conn      net.Conn
	stop      func() bool // ends the watch over the context
	ctx       context.Context
	challenge uint32 // the node's

	Name   string // the node's full name
	Hidden bool   // it is a hidden node
}

// OurName is what we are called. The node makes an atom of it, which stays, so there are not many.
func OurName() string { return fmt.Sprintf("beamrun-%d@localhost", os.Getpid()%100) }

// Ask returns the full name of the node that listens at addr, and whether it is a hidden one. It
// needs no cookie: the connection ends before the node asks for it.
func Ask(ctx context.Context, addr netip.AddrPort) (name string, hidden bool, err error) {
	p, err := Meet(ctx, addr)
	if err != nil {
		return "", false, fmt.Errorf("node at %s: %w", addr, err)
	}
	p.Close()
	return p.Name, p.Hidden, nil
}

// Meet connects to the node at addr and takes the handshake as far as it goes without a cookie.
// Errors: [ErrNotNode], [ErrTLS], a [Refusal], the context's, or the connection's.
func Meet(ctx context.Context, addr netip.AddrPort) (*Peer, error) {
	p, err := meetAs(ctx, addr, 6)
	var again Refusal
	switch {
	case errors.Is(err, io.EOF): // it knows no version 6
		p, err = meetAs(ctx, addr, 5)
		if errors.Is(err, io.EOF) {
			err = ErrNotNode
		}
	case errors.As(err, &again) && again != "not_allowed": // another of our name just leaves
		select {
		case <-time.After(50 * time.Millisecond):
			p, err = meetAs(ctx, addr, 6)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return p, err
}

func meetAs(ctx context.Context, addr netip.AddrPort, version int) (_ *Peer, err error) {
	conn, err := (&net.Dialer{KeepAlive: -1}).DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, err
	}
	p := &Peer{conn: conn, ctx: ctx}
	p.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	name := OurName()
	hello := binary.BigEndian.AppendUint64([]byte{'N'}, Flags6)
	hello = binary.BigEndian.AppendUint32(hello, uint32(os.Getpid())) // creation
	hello = binary.BigEndian.AppendUint16(hello, uint16(len(name)))
	if version == 5 {
		hello = binary.BigEndian.AppendUint32([]byte{'n', 0, 5}, Flags5)
	}
	if err := p.send(append(hello, name...)); err != nil {
		return nil, err
	}
	status, err := p.receive()
	if err != nil {
		return nil, err
	}
	switch word, isStatus := bytes.CutPrefix(status, []byte("s")); {
	case !isStatus:
		return nil, ErrNotNode
	case !bytes.HasPrefix(word, []byte("ok")):
		return nil, Refusal(word[:min(len(word), 20)])
	}
	challenge, err := p.receive()
	if err != nil {
		return nil, err
	}
	return p, p.readChallenge(challenge)
}

// readChallenge takes the node's flags, challenge and name.
func (p *Peer) readChallenge(m []byte) error {
	var flags uint64
	switch {
	case len(m) >= 19 && m[0] == 'N':
		flags, p.challenge = binary.BigEndian.Uint64(m[1:]), binary.BigEndian.Uint32(m[9:])
		length := int(binary.BigEndian.Uint16(m[17:]))
		if len(m) < 19+length {
			return ErrNotNode
		}
		p.Name = string(m[19 : 19+length])
	case len(m) >= 11 && m[0] == 'n':
		flags, p.challenge = uint64(binary.BigEndian.Uint32(m[3:])), binary.BigEndian.Uint32(m[7:])
		p.Name = string(m[11:])
	default:
		return ErrNotNode
	}
	if !vmargs.IsFullName(p.Name) {
		return ErrNotNode
	}
	p.Hidden = flags&FlagPublished == 0
	return nil
}

// OtherUserError is the error of [Peer.Prove] for a connection that leads to another user, or if
// the kernel does not report to whom it leads.
type OtherUserError struct{ err error }

func (e *OtherUserError) Error() string {
	return fmt.Sprintf("it gets no answer that is made with the cookie: %v", e.err)
}
func (e *OtherUserError) Unwrap() error { return e.err }

// Prove takes the handshake to its end, with a cookie of this user's. Who gets a digest of a cookie
// for a challenge of their own choice can be let in elsewhere. So it is given only over a
// connection whose other end is this user's: what was seen before the connection was made may not
// be so any more, but the challenge has come over this one, and nobody can take its place.
//
// A process of the same user in a container may take the port of a node that has just ended: so it
// has to be the process that was found, too.
func (p *Peer) Prove(cookie string, holds func(context.Context, owner.Peer) bool) error {
	switch other, err := owner.PeerOf(p.conn); {
	case err != nil:
		return &OtherUserError{err}
	case other.UID != os.Geteuid():
		return &OtherUserError{fmt.Errorf("what listens there belongs to uid %d", other.UID)}
	case !holds(p.ctx, other):
		return &OtherUserError{errors.New("another process listens there by now")}
	}
	var random [4]byte
	rand.Read(random[:]) // never fails: it ends the program instead
	ours := binary.BigEndian.Uint32(random[:])
	proof := binary.BigEndian.AppendUint32([]byte{'r'}, ours)
	if err := p.send(append(proof, Digest(p.challenge, cookie)...)); err != nil {
		return err
	}
	ack, err := p.receive()
	switch {
	case errors.Is(err, io.EOF):
		return ErrCookie
	case err != nil:
		return err
	case len(ack) != 17, ack[0] != 'a',
		subtle.ConstantTimeCompare(ack[1:], Digest(ours, cookie)) != 1:
		return ErrCookie // it is not the node that it says
	}
	return nil
}

// Digest is the proof of a cookie for a challenge.
func Digest(challenge uint32, cookie string) []byte {
	sum := md5.Sum(strconv.AppendUint([]byte(cookie), uint64(challenge), 10))
	return sum[:]
}

func (p *Peer) send(message []byte) error {
	size := binary.BigEndian.AppendUint16(nil, uint16(len(message)))
	_, err := p.conn.Write(append(size, message...))
	return p.cause(err)
}

func (p *Peer) receive() ([]byte, error) {
	var size [2]byte
	_, err := io.ReadFull(p.conn, size[:])
	if err == nil && size[0] == 0x15 && size[1] == 3 { // a TLS alert, of a version from 3.0 on
		return nil, ErrTLS
	}
	if err != nil {
		return nil, p.cause(err)
	}
	message := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err = io.ReadFull(p.conn, message)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return message, p.cause(err)
}

// cause is the context's error, where that is why the connection failed.
func (p *Peer) cause(err error) error {
	if err != nil && p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	return err
}

// Close ends the connection.
func (p *Peer) Close() {
	p.stop()
	p.conn.Close()
}
