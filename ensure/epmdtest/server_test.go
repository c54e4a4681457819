package epmdtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// encode is the reverse of parse for an ALIVE2 request.
func encode(n node) []byte {
	b := binary.BigEndian.AppendUint16([]byte{alive2Req}, n.port)
	b = append(b, n.kind, n.protocol)
	b = binary.BigEndian.AppendUint16(b, n.highest)
	b = binary.BigEndian.AppendUint16(b, n.lowest)
	b = binary.BigEndian.AppendUint16(b, uint16(len(n.name)))
	b = append(b, n.name...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(n.extra)))
	return append(b, n.extra...)
}

// packet puts the length before a request.
func packet(request []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(request))), request...)
}

func alive(name string) []byte {
	return packet(encode(node{name: name, port: 40001, kind: 77, highest: 6, lowest: 5}))
}

// dial connects, under a deadline for all that the test does with the connection.
func dial(t *testing.T, addr netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func TestServer(t *testing.T) {
	s := New(t)
	if nodes := s.Names(); nodes == nil || len(nodes) != 0 {
		t.Errorf("at first: %#v", nodes)
	}
	s.Register("alice", 40001)
	s.Register("bob", 65535)
	c := dial(t, s.Addr())
	c.Write(alive("carol"))
	if n, err := io.ReadFull(c, make([]byte, 6)); err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	want := []epmd.Node{{Name: "carol", Port: 40001}, {Name: "bob", Port: 65535}, {Name: "alice", Port: 40001}}
	asked, err := epmd.Names(t.Context(), s.Addr())
	if own := s.Names(); err != nil || !slices.Equal(own, want) || !slices.Equal(asked, want) {
		t.Errorf("own: %v, asked: %v, %v", own, asked, err)
	}
	info, err := epmd.Lookup(t.Context(), s.Addr(), "bob")
	if err != nil || info.Hidden || info.Node != want[1] || info.Highest != 6 || info.Lowest != 6 || len(info.Extra) != 0 {
		t.Errorf("%+v, %v", info, err)
	}
	if port, err := epmd.Ping(t.Context(), s.Addr()); port != s.Port() || err != nil {
		t.Errorf("port %d, %v", port, err)
	}

	// a connection of its own ends with the node
	s.Unregister("carol")
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the unregistered node's connection: %v", err)
	}
	s.Unregister("alice")
	s.Unregister("nobody")
	if nodes := s.Names(); !slices.Equal(nodes, want[1:2]) {
		t.Errorf("after two unregistered: %v", nodes)
	}
	select {
	case <-s.Done():
		t.Error("Done before Close")
	default:
	}
	s.Close()
	s.Close()
	<-s.Done()
	var op *net.OpError
	if _, err := epmd.Names(t.Context(), s.Addr()); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("after Close: %v", err)
	}
}

// A KILL that is obeyed ends the server: who has read a byte of the reply finds nobody.
func TestKillRequest(t *testing.T) {
	for _, fault := range []Fault{Relaxed, Slow(20 * time.Millisecond)} {
		s := New(t, fault, Relaxed)
		s.Register("alice", 40001)
		other := dial(t, s.Addr()) // one that says nothing is closed too
		c := dial(t, s.Addr())
		c.Write(packet([]byte{killReq}))
		var first [1]byte
		c.Read(first[:])
		if c, err := net.Dial("tcp", s.Addr().String()); err == nil {
			c.Close()
			t.Error("it still listens")
		}
		if rest, err := io.ReadAll(c); string(first[:])+string(rest) != "OK" || err != nil {
			t.Errorf("%q, %q, %v", first, rest, err)
		}
		<-s.Done()
		if n, err := other.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the other connection: %d bytes, %v", n, err)
		}
		s.Close()
	}
}

func TestIdleConnection(t *testing.T) {
	t.Parallel()
	s := New(t, PacketTimeout(200*time.Millisecond))
	dial(t, s.Addr()).Write(alive("alice"))
	half := dial(t, s.Addr())
	half.Write(alive("bob")[:9])
	begin := time.Now()
	if n, err := half.Read(make([]byte, 1)); n != 0 || err != io.EOF || time.Since(begin) > 5*time.Second {
		t.Errorf("half a request: %d bytes, %v after %v", n, err, time.Since(begin))
	}
	time.Sleep(300 * time.Millisecond)
	if nodes := s.Names(); len(nodes) != 1 || nodes[0].Name != "alice" {
		t.Errorf("a node's connection may be idle, but: %v", nodes)
	}
}

// fakeTB takes the place of a test that fails.
type fakeTB struct {
	testing.TB
	errors []string
}

func (f *fakeTB) Helper()        {}
func (f *fakeTB) Cleanup(func()) {}
func (f *fakeTB) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}
func (f *fakeTB) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func TestMisuse(t *testing.T) {
	f := &fakeTB{}
	s := New(f)
	defer s.Close()
	s.Register("alice", 0)
	s.Register(strings.Repeat("é", 255), 65535)
	if len(f.errors) > 0 {
		t.Fatal(f.errors)
	}
	for i, node := range []epmd.Node{{Name: "alice", Port: 1}, {}, {Name: "a@b"}, {Name: "a\x00b"}, {Name: "a\xffb"}, {Name: strings.Repeat("x", 256)}} {
		if s.Register(node.Name, node.Port); len(f.errors) != i+1 {
			t.Errorf("%.20q: errors %q", node.Name, f.errors)
		}
	}
	if len(f.errors) != 6 || len(s.Names()) != 2 {
		t.Errorf("errors %q, names %.80v", f.errors, s.Names())
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		Listen(f, s.Addr().String())
		t.Error("two servers have one port")
	})
	wait.Wait()
	if len(f.errors) != 7 {
		t.Errorf("errors %q", f.errors)
	}
}

func TestListen(t *testing.T) {
	for addr, host := range map[string]string{"0.0.0.0:0": "127.0.0.1", "127.0.0.1:0": "127.0.0.1", ":0": "127.0.0.1"} {
		s := Listen(t, addr)
		if want := fmt.Sprintf("%s:%d", host, s.Port()); s.Addr().String() != want || s.Port() == 0 {
			t.Errorf("at %s: %s, want %s", addr, s.Addr(), want)
		}
		if _, err := epmd.Names(t.Context(), s.Addr()); err != nil {
			t.Error(err)
		}
		s.Close()
		Listen(t, s.Addr().String()) // the port is free again
	}
}

func TestIsLocal(t *testing.T) {
	tcp := func(host string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(host)} }
	for _, tt := range []struct {
		peer, own string
		want      bool
	}{
		{"127.0.0.1", "127.0.0.1", true}, {"127.1.2.3", "127.0.0.1", true}, {"::1", "::1", true},
		{"192.0.2.2", "192.0.2.2", true}, {"192.0.2.3", "192.0.2.2", false}, {"2001:db8::1", "2001:db8::2", false},
	} {
		if got := isLocal(tcp(tt.peer), tcp(tt.own)); got != tt.want {
			t.Errorf("%s at %s: %t", tt.peer, tt.own, got)
		}
	}
}

// Each fault from the view of a client, package epmd.
func TestFaults(t *testing.T) {
	t.Parallel()
	dialError := errors.New("refused")
	reset := errors.New("reset")
	is := func(err, want error) bool {
		var op *net.OpError
		var errno syscall.Errno
		switch want {
		case dialError:
			return errors.As(err, &op) && op.Op == "dial"
		case reset:
			return errors.As(err, &errno)
		}
		return errors.Is(err, want)
	}
	for _, tt := range []struct {
		name                string
		faults              []Fault
		names, lookup, ping error
	}{
		{"none", nil, nil, nil, nil},
		{"silent", []Fault{Silent}, context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded},
		{"slow", []Fault{Slow(time.Millisecond)}, nil, nil, nil},
		{"too slow", []Fault{Slow(80 * time.Millisecond)}, context.DeadlineExceeded, context.DeadlineExceeded, context.DeadlineExceeded},
		{"no byte", []Fault{Cut(0)}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
		{"cut in the header", []Fault{Cut(3)}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
		{"cut after the header", []Fault{Cut(10)}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, nil},
		{"slow and cut", []Fault{Slow(time.Millisecond), Cut(10)}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, nil},
		{"cut above the size", []Fault{Cut(1000)}, nil, nil, nil},
		{"wrong port", []Fault{WrongPort(1234)}, epmd.ErrNotEpmd, nil, nil},
		{"no port", []Fault{WrongPort(0)}, epmd.ErrNotEpmd, nil, epmd.ErrNotEpmd},
		{"garbage", []Fault{Garbage}, epmd.ErrNotEpmd, epmd.ErrNotEpmd, epmd.ErrNotEpmd},
		{"garbage cut", []Fault{Garbage, Cut(1)}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF},
		{"flood", []Fault{Flood}, epmd.ErrNotEpmd, nil, epmd.ErrNotEpmd},
		{"slow flood", []Fault{Flood, Slow(time.Millisecond)}, context.DeadlineExceeded, nil, context.DeadlineExceeded},
		{"flood that ends", []Fault{Flood, Cut(5000)}, io.ErrUnexpectedEOF, nil, nil},
		{"reset", []Fault{Reset}, reset, reset, reset},
		{"refuse the next", []Fault{RefuseAfter(0)}, dialError, dialError, dialError},
		{"refuse the second", []Fault{RefuseAfter(1)}, nil, dialError, dialError},
		{"refuse the third", []Fault{RefuseAfter(2), Cut(4)}, nil, io.ErrUnexpectedEOF, dialError},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := New(t, tt.faults...)
			s.Register("alice", 40001)
			ctx := func(want error) context.Context {
				d := 5 * time.Second
				if want == context.DeadlineExceeded {
					d = 100 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), d)
				t.Cleanup(cancel)
				return ctx
			}
			if nodes, err := epmd.Names(ctx(tt.names), s.Addr()); !is(err, tt.names) || len(nodes) > 1 {
				t.Errorf("Names: %v, %v; want %v", nodes, err, tt.names)
			}
			if info, err := epmd.Lookup(ctx(tt.lookup), s.Addr(), "alice"); !is(err, tt.lookup) || err == nil && info.Port != 40001 {
				t.Errorf("Lookup: %v, %v; want %v", info, err, tt.lookup)
			}
			want := s.Port()
			if tt.name == "wrong port" {
				want = 1234
			}
			if port, err := epmd.Ping(ctx(tt.ping), s.Addr()); !is(err, tt.ping) || err == nil && port != want {
				t.Errorf("Ping: %v, %v; want %v", port, err, tt.ping)
			}
			begin := time.Now()
			if s.Close(); time.Since(begin) > 5*time.Second {
				t.Errorf("Close took %v", time.Since(begin))
			}
		})
	}
}

// New faults hold for new connections; and a node whose registration is garbled is not registered.
func TestSetFaults(t *testing.T) {
	t.Parallel()
	s := New(t)
	names := func() error { _, err := epmd.Names(t.Context(), s.Addr()); return err }
	old := dial(t, s.Addr())
	testenv.Eventually(t, "the connection is accepted", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 1
	})
	s.SetFaults(Cut(1))
	if err := names(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("with the fault: %v", err)
	}
	old.Write(packet([]byte{namesReq}))
	if reply, err := io.ReadAll(old); len(reply) != 4 || err != nil {
		t.Errorf("on the connection before it: %q, %v", reply, err)
	}
	for _, fault := range []Fault{Cut(5), Garbage} {
		s.SetFaults(fault)
		c := dial(t, s.Addr())
		c.Write(alive("alice"))
		io.ReadAll(c)
		testenv.Eventually(t, "the node is gone", func() bool { return len(s.Names()) == 0 })
	}
	s.SetFaults()
	if err := names(); err != nil {
		t.Errorf("without a fault: %v", err)
	}
	s.SetFaults(RefuseAfter(2))
	if err := errors.Join(names(), names()); err != nil {
		t.Error(err)
	}
	var op *net.OpError
	if err := names(); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("the third: %v", err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(alive("alice"))
	f.Add(packet(encode(node{name: "é", extra: []byte("xy")})))
	f.Add(packet([]byte("zalice")))
	f.Add(packet([]byte("zalice\x00")))
	f.Add(packet([]byte("salice")))
	f.Add([]byte("\x00\x01ntrailing"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := readPacket(bytes.NewReader(b))
		pieces, err2 := readPacket(iotest.OneByteReader(bytes.NewReader(b)))
		if trailing := err2 == nil && len(b) > 2+len(pieces); (err == nil) != (err2 == nil && !trailing) || err == nil && !bytes.Equal(whole, pieces) {
			t.Fatalf("whole: %q %v; in pieces: %q %v", whole, err, pieces, err2)
		}
		for _, b := range [][]byte{b, whole} {
			before := bytes.Clone(b)
			req, ok := parse(b)
			if !bytes.Equal(b, before) {
				t.Fatalf("%q became %q", before, b)
			}
			switch {
			case !ok:
			case req.code == alive2Req:
				if again := encode(req.node); !bytes.HasPrefix(b, again) || strings.Contains(req.node.name, "\x00") {
					t.Errorf("%q became %q", b, again)
				}
			case req.code == port2Req && string(b[1:]) != req.name && string(b[1:]) != req.name+"\x00",
				req.code == stopReq && !strings.HasPrefix(string(b[1:])+"\x00", req.name+"\x00"):
				t.Errorf("%q asks for %q", b, req.name)
			}
			if !ok {
				continue
			}
			// carried out twice: a name is registered once, and found from then on
			var r registry
			for i := range 2 {
				reply, _ := r.answer(req, &conn{faults: combine(nil, 4369)})
				registered := req.code == alive2Req && req.node.valid() && i == 0
				if req.code == alive2Req && (reply[1] == 0) != registered || len(r.nodes) > 1 {
					t.Errorf("%q, time %d: %q", b, i, reply)
				}
			}
			if e := r.find(req.node.name); (e != nil) != (req.code == alive2Req && req.node.valid()) {
				t.Errorf("%q registered %v", b, e)
			}
		}
	})
}
