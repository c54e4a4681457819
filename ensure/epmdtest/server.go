package epmdtest

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
)

const (
	// packetTimeout is epmd's own, see -packet_timeout in epmd -help: so long may a connection
	// without a node be idle.
	packetTimeout = 60 * time.Second

	// maxConns is about as many as the real epmd holds; further ones are closed at once.
	maxConns = 1020
)

// Server is an epmd in pure Go. Its methods may be called from several goroutines at once.
//
// It follows OTP's epmd in what it accepts, refuses and replies, and in the order of the names.
// Like that one it takes registrations, DUMP, KILL and STOP from the own host only.
type Server struct {
	t        testing.TB
	listener *net.TCPListener
	addr     netip.AddrPort
	end      chan struct{} // closed when the end begins
	done     chan struct{} // closed when nothing is left
	serving  sync.WaitGroup
	busy     sync.Mutex // held while a reply is made, with its delay; before mu

	mu       sync.Mutex
	ended    bool
	registry registry
	conns    map[*conn]bool
	accepted int // connections so far
	lastOne  int // the connection after which it stops listening; -1: none
	faults   faults
}

// conn is a connection, with the faults that were in force when it was accepted.
type conn struct {
	*net.TCPConn
	faults
	id int
}

// New starts a server on 127.0.0.1, on a free port of its own, and closes it when the test ends.
func New(t testing.TB, faults ...Fault) *Server {
	t.Helper()
	return Listen(t, "127.0.0.1:0", faults...)
}

// Listen is [New] at that address, host:port. Port 0 means a free one; the host 0.0.0.0 every
// address of this machine, as the real epmd has it. The test ends there (Fatal) if it can't be had.
func Listen(t testing.TB, addr string, faults ...Fault) *Server {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("epmdtest: %v", err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	s := &Server{
		t: t, listener: l.(*net.TCPListener), addr: at,
		end: make(chan struct{}), done: make(chan struct{}), conns: map[*conn]bool{},
	}
	s.SetFaults(faults...)
	go s.accept()
	t.Cleanup(s.Close)
	return s
}

// Port returns the TCP port.
func (s *Server) Port() uint16 { return s.addr.Port() }

// Addr returns where it listens. If that is every address, it returns 127.0.0.1.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Done is closed when the server has ended, by [Server.Close] or by a KILL request, and nothing of
// it is left.
func (s *Server) Done() <-chan struct{} { return s.done }

// Register adds a node without a connection of its own: a normal one of distribution version 6,
// without extra bytes. It stays until [Server.Unregister], a STOP request or the server's end. The
// port is from 0 to 65535, the name has 1 to 255 characters, no NUL and no @. A name that is taken
// or not valid, and such a port, fail the test (Error).
func (s *Server) Register(name string, port uint16) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	n := node{name: name, port: port, kind: 77, highest: 6, lowest: 6}
	if name == "" || strings.ContainsAny(name, "\x00@") || s.registry.register(n, nil) == nil {
		s.t.Errorf("epmdtest: Register(%.80q, %d): taken, or not valid", name, port)
	}
}

// Unregister removes a node, as if it had ended; a connection that it has is closed. It does
// nothing when the name is not registered.
func (s *Server) Unregister(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.registry.find(name); e != nil {
		s.registry.unregister(e)
		e.conn.hangUp()
	}
}

// Names returns the registered nodes in the order of the reply to NAMES: the newest first.
func (s *Server) Names() []epmd.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	nodes := make([]epmd.Node, 0, len(s.registry.nodes))
	for _, e := range s.registry.nodes {
		nodes = append(nodes, epmd.Node{Name: e.name, Port: e.port})
	}
	return nodes
}

// SetFaults replaces all faults in force, [Relaxed] too, for connections from now on; those that
// are open keep theirs. Without arguments the server behaves again. A server that stopped listening
// ([RefuseAfter]) stays so.
func (s *Server) SetFaults(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.lastOne = combine(faults, s.Port()), -1
	if n := s.faults.refuseAfter; n >= 0 {
		s.lastOne = s.accepted + n
	}
	if s.accepted == s.lastOne {
		unlisten(s.listener)
	}
}

// Close ends the server: it stops listening, closes every connection, and waits until no goroutine
// and no descriptor of it is left. It may be called again.
func (s *Server) Close() {
	s.stop()
	<-s.done
}

// stop begins the end.
func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	close(s.end)
	unlisten(s.listener)
	for c := range s.conns {
		c.Close()
	}
	s.registry = registry{}
}

func (s *Server) accept() {
	defer close(s.done)
	defer s.serving.Wait()
	for {
		c, err := s.listener.Accept()
		switch {
		case err == nil:
			s.admit(c.(*net.TCPConn))
		case errors.Is(err, net.ErrClosed):
			<-s.end // after RefuseAfter, the connections go on
			return
		default:
			time.Sleep(10 * time.Millisecond) // the peer was gone already, or no descriptor is free
		}
	}
}

func (s *Server) admit(tcp *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || len(s.conns) == maxConns {
		tcp.Close()
		return
	}
	s.accepted++
	if s.accepted == s.lastOne {
		unlisten(s.listener)
	}
	c := &conn{TCPConn: tcp, faults: s.faults, id: s.accepted}
	s.conns[c] = true
	s.serving.Add(1)
	go s.serve(c)
}

// serve does one request, which is all that a connection may have, and then holds the connection of
// a node.
func (s *Server) serve(c *conn) {
	defer s.serving.Done()
	defer s.forget(c)
	switch {
	case c.reset:
		c.SetLinger(0)
		return
	case c.silent:
		io.Copy(io.Discard, c.TCPConn)
		return
	}
	packet, err := readPacket(c)
	if err != nil {
		return
	}
	req, ok := parse(packet)
	forAll := req.code == namesReq || req.code == port2Req
	if !ok || !forAll && !isLocal(c.RemoteAddr(), c.LocalAddr()) {
		return
	}
	reply, then := s.answer(req, c)
	if then == endServer {
		unlisten(s.listener) // before the reply: who has read that finds nobody
		defer s.stop()
	}
	if c.send(c, reply, s.end) && then == stayOpen {
		c.SetReadDeadline(time.Time{})
		c.TCPConn.Read(make([]byte, maxPacket)) // its end; or more bytes, which are its end too
	}
}

// answer makes a reply, one at a time.
func (s *Server) answer(req request, c *conn) (reply []byte, then outcome) {
	s.busy.Lock()
	defer s.busy.Unlock()
	s.mu.Lock()
	reply, then = s.registry.answer(req, c)
	s.mu.Unlock()
	if c.delay > 0 {
		select {
		case <-time.After(c.delay):
		case <-s.end:
		}
	}
	return reply, then
}

// forget ends a connection, and its node with it.
func (s *Server) forget(c *conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if i := slices.IndexFunc(s.registry.nodes, func(e *entry) bool { return e.conn == c }); i >= 0 {
		s.registry.unregister(s.registry.nodes[i])
	}
}

// Read gives each piece of a request its time.
func (c *conn) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.idle))
	return c.TCPConn.Read(b)
}

// number stands for the descriptor that DUMP shows.
func (c *conn) number() int {
	if c == nil {
		return 0
	}
	return c.id
}

func (c *conn) hangUp() {
	if c != nil {
		c.Close()
	}
}

// isLocal reports whether the peer is on this host, the way epmd does: a loopback address, or the
// same one on both ends.
func isLocal(peer, own net.Addr) bool {
	p, o := peer.(*net.TCPAddr), own.(*net.TCPAddr)
	return p.IP.IsLoopback() || p.IP.Equal(o.IP)
}
