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
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/testenv"
)

// startReal starts the machine's own epmd on a private port and returns the port.
func startReal(t *testing.T, args ...string) uint16 {
	t.Helper()
	port := testenv.Port(t)
	cmd := exec.Command("epmd", append([]string{"-port", strconv.Itoa(int(port)), "-address", "127.0.0.1"}, args...)...)
	cmd.Env = environ(t, port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	addr := testenv.Loopback(port)
	testenv.Eventually(t, "epmd answers", func() bool {
		_, err := epmd.Ping(t.Context(), addr)
		return err == nil
	})
	return port
}

// environ is the environment of a child process that finds the epmd on that port.
func environ(t *testing.T, port uint16) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "ERL_CRASH_DUMP_SECONDS=0", fmt.Sprintf("ERL_EPMD_PORT=%d", port)}
}

// session is a conversation with one epmd, written down with everything masked that may differ.
type session struct {
	*testing.T
	port      uint16
	log       []string
	nodes     map[string]net.Conn
	creations map[string]uint32
}

func (s *session) addr() netip.AddrPort { return testenv.Loopback(s.port) }

func (s *session) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

var descriptor = regexp.MustCompile(`fd = \d+`)

// ask sends those bytes, in the given pieces, and writes down the reply and the connection's end.
func (s *session) ask(pieces ...string) string {
	s.Helper()
	c := dial(s.T, s.addr())
	defer c.Close()
	for _, p := range pieces {
		if io.WriteString(c, p); len(pieces) > 1 {
			time.Sleep(time.Millisecond)
		}
	}
	b, err := io.ReadAll(c)
	if errors.Is(err, syscall.ECONNRESET) { // what a close is when bytes are left unread
		err = nil
	}
	reply := descriptor.ReplaceAllString(string(b), "fd = N")
	if raw := strings.Join(pieces, ""); len(b) >= 4 && (raw[2] == 'n' || raw[2] == 'd') {
		if port := binary.BigEndian.Uint32(b); port != uint32(s.port) {
			s.Errorf("port %d tells port %d", s.port, port)
		}
		reply = "PORT" + reply[4:]
	}
	s.note("%.60q: %q, %v", pieces, reply, err)
	return reply
}

// register sends an ALIVE2 request and writes down the reply. The connection has to stay open, a
// refused one's too.
func (s *session) register(n node, tail string) bool {
	s.Helper()
	c := dial(s.T, s.addr())
	c.Write(packet(append(encode(n), tail...)))
	reply := make([]byte, 6)
	if n.highest < 6 {
		reply = reply[:4]
	}
	if _, err := io.ReadFull(c, reply); err != nil {
		s.Fatalf("port %d: reply to %.80v: %q, %v", s.port, n, reply, err)
	}
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("port %d: after the reply to %v: %d bytes, %v", s.port, n, n, err)
	}
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if reply[1] != 0 {
		s.note("%.80v: %q", n, reply)
		return false
	}
	// the first creation is the time, the next one of the same name is one more
	creation, low := binary.BigEndian.Uint32(append([]byte{0, 0}, reply[2:]...)[len(reply)-4:]), "at least 4"
	if n.highest >= 6 && creation < 4 || n.highest < 6 && (creation < 1 || creation > 3) {
		low = fmt.Sprint(creation)
	}
	before, again := s.creations[n.name]
	s.creations[n.name] = creation
	switch {
	case again && n.highest >= 6:
		low = fmt.Sprintf("%d more", creation-before)
	case again:
		low = fmt.Sprintf("%d more", (creation+3-before)%3)
	case n.highest >= 6 && time.Since(time.Unix(int64(creation), 0)).Abs() > time.Minute:
		low = "not the time"
	}
	s.note("%.80v: %q, creation: %s", n, reply[:2], low)
	s.nodes[n.name] = c
	return true
}

func (s *session) normal(name string, port uint16) {
	s.Helper()
	s.register(node{name: name, port: uint16(port), kind: 77, highest: 6, lowest: 5}, "")
}

// end ends a node's connection, by that many bytes more or by its close, and waits until the epmd
// has seen it.
func (s *session) end(name string, more string) {
	s.Helper()
	if c := s.nodes[name]; more == "" {
		c.Close()
	} else {
		io.WriteString(c, more)
		b, err := io.ReadAll(c)
		s.note("%q sends more: %q, %v", name, b, err)
	}
	s.gone(name)
}

func (s *session) gone(name string) {
	s.Helper()
	testenv.Eventually(s.T, name+" is gone", func() bool {
		_, err := epmd.Lookup(s.Context(), s.addr(), name)
		return errors.Is(err, epmd.ErrNotRegistered)
	})
}

func req(code string) string { return string(packet([]byte(code))) }

// The conversations. Every reply of this package's server has to be the real epmd's, byte by byte.
var scripts = map[string]func(s *session){
	"names": func(s *session) {
		list := func() {
			s.ask(req("n"))
			s.ask(req("d"))
		}
		list()
		s.normal("n0", 1)
		list()
		for i := 1; i < 10; i++ {
			s.normal(fmt.Sprint("n", i), uint16(1000*i))
		}
		list()
		for i := 10; i < 50; i++ {
			s.normal(fmt.Sprint("n", i), uint16(i))
		}
		list()
		for _, name := range []string{"n0", "n49", "n20", "n21", "n22"} {
			s.end(name, "")
			list()
		}
		for _, name := range []string{"n21", "n0", "new", "n22"} {
			s.normal(name, 7)
			list()
		}
		s.end("n21", "")
		s.end("n30", "x") // what is sent after a registration ends it
		s.end("n31", req("n"))
		list()
	},
	"alive2": func(s *session) {
		n := node{port: 40001, kind: 77, highest: 6, lowest: 5}
		for i, highest := range []uint16{5, 6, 7, 0, 65535} {
			n.name, n.highest = fmt.Sprint("version", i), highest
			s.register(n, "")
			s.register(n, "") // the name is taken
			s.ask(req("z" + n.name))
		}
		n.highest = 6
		for _, name := range []string{
			"hidden", "é", "with space", "line\nbreak", "name x at port 1", "a@b", "\xff", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80",
			strings.Repeat("x", 254), strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("𝔸", 254),
			strings.Repeat("𝔸", 255), strings.Repeat("𝔸", 255) + "x", strings.Repeat("x", 1020), strings.Repeat("x", 1021), strings.Repeat("x", 2000),
		} {
			n.name, n.kind = name, 77
			if name == "hidden" {
				n.kind = 72
			}
			s.register(n, "")
			s.ask(req("z" + name))
		}
		for i, extra := range []string{"x", "with\x00NUL", strings.Repeat("e", 1020), strings.Repeat("e", 1021)} {
			n.name, n.extra, n.protocol, n.port = fmt.Sprint("extra", i), []byte(extra), byte(i), uint16(i*20000)
			s.register(n, "")
			s.ask(req("z" + n.name))
		}
		// a name without a character needs bytes of another kind, for the size is what is looked at
		n = node{port: 1, kind: 77, highest: 6}
		s.ask(string(packet(encode(n))))
		s.register(n, "tail")
		n.name = "tail"
		s.register(n, "tail")
		s.ask(req("d"))
		// sizes that are wrong
		n.name, n.extra = "broken", []byte("extra")
		whole := encode(n)
		for size := 1; size < len(whole); size++ {
			s.ask(string(packet(whole[:size])))
		}
		n.name = "nul\x00nul"
		s.ask(string(packet(encode(n))))
		s.ask(req("n"))
		// the creation when a node comes back, another version's
		n = node{name: "back", port: 1, kind: 77, highest: 6}
		for _, highest := range []uint16{6, 6, 6} {
			n.highest = highest
			s.register(n, "")
			s.end("back", "")
		}
		n = node{name: "back5", port: 1, kind: 77, highest: 5}
		for range 4 {
			s.register(n, "")
			s.end("back5", "")
		}
	},
	"port2": func(s *session) {
		s.normal("alice", 40001)
		for _, name := range []string{"alice", "alice\x00", "alice\x00\x00", "alice\x00x", "Alice", "alic", "alicex", "", "\x00", "\x00\x00", "\xff", "a\xe2\x82",
			strings.Repeat("x", 254), strings.Repeat("x", 254) + "\x00", strings.Repeat("x", 255), strings.Repeat("é", 254), strings.Repeat("é", 255)} {
			s.ask(req("z" + name))
		}
	},
	"packets": func(s *session) {
		s.normal("alice", 40001)
		for _, raw := range []string{
			"\x00\x00", "\x00\x00n", "\x00\x01nn", "\x00\x02nn", "\x00\x05dxxxx", "\x00\x06zalice!", "\xff\xffn",
			req("A"), req("\x00"), req("N"), req("u\x00"), req("c"), "GET / HTTP/1.1\r\n\r\n",
			req("d" + strings.Repeat("x", 3056)), req("d" + strings.Repeat("x", 3057)), req("n" + strings.Repeat("x", 9999)),
			req("n") + req("n"), req("n") + "x",
		} {
			s.ask(raw)
		}
		for _, raw := range []string{req("n"), req("zalice"), req("d"), req("snobody")} {
			s.ask(strings.Split(raw, "")...)
			s.ask(raw[:1], raw[1:])
			s.ask(raw[:2], raw[2:])
		}
		// the peer's half is closed early: after a whole request, within one, before one
		for _, raw := range []string{req("n"), req("zalice")[:5], ""} {
			c := dial(s.T, s.addr())
			io.WriteString(c, raw)
			c.(*net.TCPConn).CloseWrite()
			b, err := io.ReadAll(c)
			s.note("half closed after %q: %d bytes, %v", raw, len(b), err)
		}
		c := dial(s.T, s.addr())
		for _, b := range alive("pieces") {
			c.Write([]byte{b})
			time.Sleep(100 * time.Microsecond)
		}
		n, err := io.ReadFull(c, make([]byte, 6))
		s.note("registered in pieces: %d bytes, %v", n, err)
		s.ask(req("n"))
	},
	"kill and stop": func(s *session) {
		for _, name := range []string{"a", "b", "c"} {
			s.normal(name, 1)
		}
		for _, code := range []string{"s", "s\x00", "snobody", "sb", "sb", "sa\x00rest", "d", "sa", "k"} {
			reply := s.ask(req(code))
			if reply == "STOPPED" {
				name, _, _ := strings.Cut(code[1:], "\x00")
				b, err := io.ReadAll(s.nodes[name])
				s.note("the stopped node's connection: %q, %v", b, err)
			}
			if reply == "OK" {
				break
			}
		}
		if slices.Contains(s.log, `["\x00\x01k"]: "OK", <nil>`) {
			s.ended()
			return
		}
		for name := range s.nodes {
			s.nodes[name].Close()
			s.gone(name)
		}
		s.ask(req("k"))
		s.ended()
	},
	"many old names": func(s *session) {
		for i := range 1003 { // one more than is kept, and one that has to give way
			name := fmt.Sprint("n", i)
			c := dial(s.T, s.addr())
			c.Write(alive(name))
			if _, err := io.ReadFull(c, make([]byte, 6)); err != nil {
				s.Fatal(err)
			}
			c.Close()
			s.gone(name)
		}
		s.ask(req("d"))
		s.normal("another", 1)
		s.ask(req("d"))
	},
}

// ended waits until nothing listens.
func (s *session) ended() {
	s.Helper()
	testenv.Eventually(s.T, "the end", func() bool {
		c, err := net.Dial("tcp", s.addr().String())
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	s.note("ended")
}

func TestLikeTheRealOne(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "epmd", "erl")
	for _, relaxed := range []bool{false, true} {
		for name, script := range scripts {
			if relaxed && name == "many old names" {
				continue // long, and nothing is asked that relaxed changes
			}
			t.Run(fmt.Sprintf("%s/relaxed=%t", name, relaxed), func(t *testing.T) {
				t.Parallel()
				var args []string
				var faults []Fault
				if relaxed {
					args, faults = []string{"-relaxed_command_check"}, []Fault{Relaxed}
				}
				talk := func(port uint16) []string {
					s := &session{T: t, port: port, nodes: map[string]net.Conn{}, creations: map[string]uint32{}}
					script(s)
					return s.log
				}
				want, got := talk(startReal(t, args...)), talk(New(t, faults...).Port())
				if len(want) != len(got) {
					t.Errorf("%d lines, %d of the real one", len(got), len(want))
				}
				for i := range min(len(want), len(got)) {
					if want[i] != got[i] {
						t.Fatalf("line %d differs\nreal: %s\nours: %s", i, want[i], got[i])
					}
				}
			})
		}
	}
}

// program runs a program that finds the epmd on that port; it has 30 seconds. Its output has the
// port masked.
func program(t *testing.T, port uint16, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = environ(t, port)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	text := strings.ReplaceAll(string(bytes.TrimSpace(out)), strconv.Itoa(int(port)), "PORT")
	if err != nil {
		return fmt.Sprintf("%s [%v]", text, err)
	}
	return text
}

// The commands of epmd(1) say the same of both.
func TestEpmdCommands(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "epmd", "erl")
	for _, relaxed := range []bool{false, true} {
		var args []string
		var faults []Fault
		if relaxed {
			args, faults = []string{"-relaxed_command_check"}, []Fault{Relaxed}
		}
		talk := func(port uint16) (log []string) {
			s := &session{T: t, port: port, nodes: map[string]net.Conn{}, creations: map[string]uint32{}}
			s.normal("alice", 40001)
			s.normal("bob", 40002)
			for _, command := range []string{"-names", "-stop nobody", "-stop bob", "-names", "-kill", "-names", "-kill"} {
				out := program(t, port, "epmd", strings.Fields(command)...)
				log = append(log, command+": "+out)
				if strings.HasPrefix(out, "Killed") {
					break
				}
			}
			return log
		}
		want, got := talk(startReal(t, args...)), talk(New(t, faults...).Port())
		if !slices.Equal(want, got) {
			t.Errorf("relaxed: %t\nreal: %q\nours: %q", relaxed, want, got)
		}
		t.Logf("%q", got)
	}
}

// Erlang nodes register, find and reach each other by this package's server, and are gone when they
// end.
func TestErlangNodes(t *testing.T) {
	t.Parallel()
	testenv.Need(t, "epmd", "erl")
	// An erl first tries to start an epmd, which finds the port taken and ends; Port looks after it
	// if it does not. The address is every one, for erl asks the one that the host's own name has.
	s := Listen(t, fmt.Sprintf("0.0.0.0:%d", testenv.Port(t)))
	erl := exec.Command("erl", "-sname", "x", "-setcookie", "c", "-noinput")
	erl.Env = environ(t, s.Port())
	if err := erl.Start(); err != nil {
		t.Fatal(err)
	}
	wait := make(chan error, 1)
	go func() { wait <- erl.Wait() }()
	t.Cleanup(func() { erl.Process.Kill() })
	registered := func(name string) func() bool {
		return func() bool {
			return slices.ContainsFunc(s.Names(), func(n epmd.Node) bool { return n.Name == name })
		}
	}
	testenv.Eventually(t, "x is registered", registered("x"))
	info, err := epmd.Lookup(t.Context(), s.Addr(), "x")
	if err != nil || info.Hidden || info.Protocol != 0 || info.Highest < 5 || info.Lowest > info.Highest {
		t.Errorf("x is %+v, %v", info, err)
	}
	if out := program(t, s.Port(), "epmd", "-names"); out != fmt.Sprintf("epmd: up and running on port PORT with data:\nname x at port %d", info.Port) {
		t.Errorf("epmd -names: %q", out)
	}

	s.Register("ghost", 40001)
	s.Register("gone", 40002)
	s.Unregister("gone")
	out := program(t, s.Port(), "erl", "-sname", "y", "-hidden", "-setcookie", "c", "-noinput", "-eval", `
		{ok, H} = inet:gethostname(),
		At = fun(N) -> list_to_atom(N ++ "@" ++ H) end,
		{ok, Names} = net_adm:names(),
		io:format("~p~n~p~n~p~n~p~n", [
			lists:sort([N || {N, _} <- Names]), element(2, lists:keyfind("ghost", 1, Names)),
			[erl_epmd:port_please(N, H) || N <- ["ghost", "gone"]],
			[net_adm:ping(At(N)) || N <- ["x", "gone"]]]),
		{port, P, 6} = erl_epmd:port_please("x", H),
		P = element(2, lists:keyfind("x", 1, Names)),
		true = At("x") =:= rpc:call(At("x"), erlang, node, []),
		halt().`)
	if out != "[\"ghost\",\"x\",\"y\"]\n40001\n[{port,40001,6},noport]\n[pong,pang]" {
		t.Errorf("y: %s", out)
	}
	testenv.Eventually(t, "y is gone", func() bool { return !registered("y")() })

	// a second x is refused
	if out := program(t, s.Port(), "erl", "-sname", "x", "-noinput", "-eval", "halt()."); !strings.Contains(out, "in use") {
		t.Errorf("a second x: %s", out)
	}
	if !registered("x")() {
		t.Error("the first x is gone")
	}
	erl.Process.Kill()
	<-wait
	testenv.Eventually(t, "x is gone", func() bool { return !registered("x")() })
}

// Close leaves no goroutine and no descriptor, whatever the server was busy with.
func TestNoLeak(t *testing.T) {
	descriptors := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(fds)
	}
	round := func(faults ...Fault) {
		s := New(t, faults...)
		s.Register("alice", 40001)
		var conns []net.Conn
		for _, raw := range []string{"", "\x00", req("n"), string(alive("bob")), string(alive("bob")), req("sbob"), "junk that is longer"} {
			c, err := net.Dial("tcp", s.Addr().String())
			if err != nil {
				break // RefuseAfter
			}
			io.WriteString(c, raw)
			conns = append(conns, c)
		}
		time.Sleep(2 * time.Millisecond)
		s.Close()
		select {
		case <-s.Done():
		default:
			t.Error("Close did not wait for the end")
		}
		for _, c := range conns {
			c.Close()
		}
	}
	round() // what the first use of the network makes stays
	goroutines, fds := runtime.NumGoroutine(), descriptors()
	for _, faults := range [][]Fault{nil, {Silent}, {Slow(time.Hour)}, {Cut(1)}, {Garbage}, {Flood}, {Reset}, {RefuseAfter(0)}, {RefuseAfter(3)}, {Relaxed}} {
		for range 3 {
			round(faults...)
		}
	}
	testenv.Eventually(t, fmt.Sprintf("%d goroutines and %d descriptors, as before", goroutines, fds), func() bool {
		return runtime.NumGoroutine() <= goroutines && descriptors() <= fds
	})
}

// The client's Kill: refused with a node, obeyed without, by the real epmd as by the one in Go;
// then nobody listens.
func TestClientKill(t *testing.T) {
	testenv.Need(t, "epmd")
	real := testenv.Loopback(startReal(t))
	for _, addr := range []netip.AddrPort{real, New(t).Addr()} {
		conn := dial(t, addr)
		conn.Write(alive("alice"))
		if _, err := io.ReadFull(conn, make([]byte, 6)); err != nil {
			t.Fatal(err)
		}
		if err := epmd.Kill(t.Context(), addr); !errors.Is(err, epmd.ErrNodesRegistered) {
			t.Errorf("%s with a node: %v", addr, err)
		}
		conn.Close()
		testenv.Eventually(t, "the node is gone", func() bool {
			nodes, err := epmd.Names(t.Context(), addr)
			return err == nil && len(nodes) == 0
		})
		if err := epmd.Kill(t.Context(), addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
		testenv.Eventually(t, "nobody listens", func() bool {
			_, err := epmd.Names(t.Context(), addr)
			op := new(net.OpError)
			return errors.As(err, &op) && op.Op == "dial"
		})
	}
}
