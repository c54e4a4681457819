package epmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// readNames reads a whole NAMES reply.
func readNames(r io.Reader) ([]Node, error) {
	if _, err := readHeader(r); err != nil {
		return nil, err
	}
	return readLines(r)
}

// serve answers each connection with reply, written in pieces of that many bytes, and closes it. In
// a reply that begins with header the port is its own. It returns its address.
func serve(t *testing.T, reply string, piece int) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if rest, is := strings.CutPrefix(reply, header); is {
		reply = string(binary.BigEndian.AppendUint32(nil, uint32(at.Port()))) + rest
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Read(make([]byte, 300))
				for rest := reply; rest != ""; {
					n := min(piece, len(rest))
					if _, err := io.WriteString(c, rest[:n]); err != nil {
						return
					}
					if rest = rest[n:]; rest != "" && piece < 10 {
						time.Sleep(time.Millisecond)
					}
				}
			}()
		}
	}()
	return at
}

const header = "\x00\x00\x11\x11" // port 4369

func TestNames(t *testing.T) {
	var thousand strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&thousand, "name node%d at port %d\n", i, 30000+i)
	}
	line := func(name string) string { return "name " + name + " at port 1\n" }
	longest, longer := strings.Repeat("𝔸", 255), strings.Repeat("x", 256)
	for _, tt := range []struct {
		name  string
		reply string
		piece int
		want  []Node
		err   error
	}{
		{"none", header, 4, []Node{}, nil},
		{"two", header + "name a at port 1\nname b at port 65535\n", 99, []Node{{"a", 1}, {"b", 65535}}, nil},
		{"byte by byte", header + "name a at port 1\n", 1, []Node{{"a", 1}}, nil},
		{"a name that looks like a line", header + "name x at port 7 at port 8\n", 99, []Node{{"x at port 7", 8}}, nil},
		{"no bytes", "", 1, nil, io.ErrUnexpectedEOF},
		{"header cut", header[:3], 9, nil, io.ErrUnexpectedEOF},
		{"line cut", header + "name a at port 1\nname b at po", 99, nil, io.ErrUnexpectedEOF},
		{"line without its end", header + "name a at port 1", 99, nil, io.ErrUnexpectedEOF},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", 99, nil, ErrNotEpmd},
		{"port 0", "\x00\x00\x00\x00", 4, nil, ErrNotEpmd},
		{"garbage lines", header + "hello\n", 99, nil, ErrNotEpmd},
		{"port too large", header + "name a at port 65536\n", 99, nil, ErrNotEpmd},
		{"endless", header + strings.Repeat("x", maxReply+1), 1 << 16, nil, ErrNotEpmd},
		{"255 characters", header + line(longest), 99, []Node{{longest, 1}}, nil},
		{"256 characters", header + line(longer), 99, nil, ErrNotEpmd},
		{"2 MiB", header + line("a") + line(strings.Repeat("x", 2<<20)), 1 << 16, nil, ErrNotEpmd},
		{"65,536 names", header + strings.Repeat(line("a"), 65536), 1 << 16, nil, ErrNotEpmd},
		{"names with line ends", header + line("a\nb") + line("c\nname d at port 9") + line("e\nname f") + line("last"), 99,
			[]Node{{"a\nb", 1}, {"c\nname d at port 9", 1}, {"e\nname f", 1}, {"last", 1}}, nil},
		{"a name like two records", header + line("a at port 7\nname b") + line("last"), 99, []Node{{"a", 7}, {"b", 1}, {"last", 1}}, nil},
		{"a name like the end of a record", header + line("a at port 7\n") + line(" at port 7\nb") + line("last"), 99, []Node{{"a", 7}, {"b", 1}, {"last", 1}}, nil},
		{"1,000 nodes", header + thousand.String(), 1000, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Names(t.Context(), serve(t, tt.reply, tt.piece))
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.want != nil && fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if tt.name == "1,000 nodes" && (len(got) != 1000 || got[999] != Node{"node999", 30999}) {
				t.Errorf("got %d nodes", len(got))
			}
		})
	}
}

func TestLookup(t *testing.T) {
	found := "w\x00\x11\x22H\x00\x00\x06\x00\x05\x00\x03foo\x00\x02xy"
	for _, tt := range []struct {
		name, reply string
		err         error
	}{
		{"found", found, nil},
		{"not registered", "w\x01", ErrNotRegistered},
		{"no bytes", "", io.ErrUnexpectedEOF},
		{"cut", found[:len(found)-1], io.ErrUnexpectedEOF},
		{"not epmd's", "HTTP", ErrNotEpmd},
		{"a long name", found[:10] + "\x01\x00" + strings.Repeat("x", 256) + "\x00\x00", ErrNotEpmd},
		{"a long extra", found[:15] + "\x04\x00" + strings.Repeat("x", 1024), ErrNotEpmd},
	} {
		for _, piece := range []int{1, 99} {
			t.Run(fmt.Sprint(tt.name, "/", piece), func(t *testing.T) {
				got, err := Lookup(t.Context(), serve(t, tt.reply, piece), "foo")
				if !errors.Is(err, tt.err) {
					t.Fatalf("error %v, want %v", err, tt.err)
				}
				want := Info{Node{"foo", 0x1122}, true, 0, 6, 5, []byte("xy")}
				if err == nil && fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
	for _, name := range []string{"", strings.Repeat("x", 2000)} {
		if _, err := Lookup(t.Context(), netip.MustParseAddrPort("127.0.0.1:1"), name); err == nil {
			t.Errorf("a name of %d bytes was looked up", len(name))
		}
	}
}

func TestPing(t *testing.T) {
	ping := func(reply string, piece int) (uint16, error) {
		return Ping(t.Context(), serve(t, reply, piece))
	}
	for _, piece := range []int{1, 99} {
		at := serve(t, header+"name a at port 1\n", piece)
		if port, err := Ping(t.Context(), at); port != at.Port() || err != nil {
			t.Errorf("pieces of %d: port %d, error %v", piece, port, err)
		}
	}
	// it is Names that takes no other port, which is what it means for its nodes
	other := serve(t, "\x00\x00\x00\x01", 99)
	if port, err := Ping(t.Context(), other); port != 1 || err != nil {
		t.Errorf("another port: %d, %v", port, err)
	}
	if _, err := Names(t.Context(), other); !errors.Is(err, ErrNotEpmd) {
		t.Errorf("another port, Names: %v", err)
	}
	for reply, want := range map[string]error{"": io.ErrUnexpectedEOF, header[:2]: io.ErrUnexpectedEOF, "HTTP/1.1": ErrNotEpmd,
		header + strings.Repeat("x", maxReply+1): ErrNotEpmd} {
		if _, err := ping(reply, 1<<16); !errors.Is(err, want) {
			t.Errorf("reply %.9q: error %v, want %v", reply, err, want)
		}
	}
}

func TestKill(t *testing.T) {
	for reply, want := range map[string]error{
		"OK": nil, "NO": ErrNodesRegistered,
		"": io.ErrUnexpectedEOF, "O": io.ErrUnexpectedEOF, "HTTP/1.1": ErrNotEpmd,
	} {
		for _, piece := range []int{1, 99} {
			err := Kill(t.Context(), serve(t, reply, piece))
			if !errors.Is(err, want) || err != nil && want == nil {
				t.Errorf("reply %q in pieces of %d: %v, want %v", reply, piece, err, want)
			}
		}
	}
}

// Every call ends with its context, and where nothing listens at once.
func TestEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // accepts, in the kernel, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	silent := l.Addr().(*net.TCPAddr).AddrPort()
	calls := map[string]func(context.Context) error{
		"Names":  func(ctx context.Context) error { _, err := Names(ctx, silent); return err },
		"Kill":   func(ctx context.Context) error { return Kill(ctx, silent) },
		"Lookup": func(ctx context.Context) error { _, err := Lookup(ctx, silent, "a"); return err },
		"Ping":   func(ctx context.Context) error { _, err := Ping(ctx, silent); return err },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after the deadline: %v", err)
			}
			ctx, cancel = context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("after the context's end: %v", err)
			}
			if d := time.Since(begin); d < 100*time.Millisecond || d > 2*time.Second {
				t.Errorf("the two took %v", d)
			}
		})
	}
	// one that has ended already does not even connect
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	connected := make(chan bool, len(calls))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(connected)
				return
			}
			connected <- true
			c.Close()
		}
	}()
	for drained := false; !drained; { // those of before wait to be accepted
		select {
		case <-connected:
		case <-time.After(200 * time.Millisecond):
			drained = true
		}
	}
	for name, call := range calls {
		if err := call(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, ended before: %v", name, err)
		}
	}
	l.Close()
	for range connected {
		t.Error("a call that had ended before connected")
	}
	for name, call := range calls {
		var op *net.OpError
		if err := call(t.Context()); !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("%s, nobody listens: %v", name, err)
		}
	}
}

// Addresses are dialled as package net does: IPv4 in IPv6, and with the zone of an interface.
func TestAddresses(t *testing.T) {
	at := serve(t, header, 99)
	mapped := netip.AddrPortFrom(netip.AddrFrom16(at.Addr().As16()), at.Port())
	if nodes, err := Names(t.Context(), mapped); len(nodes) != 0 || err != nil {
		t.Errorf("%v: %v, %v", mapped, nodes, err)
	}
	zoned := netip.MustParseAddrPort("[fe80::1%no-such]:1")
	if _, err := Names(t.Context(), zoned); err == nil || !strings.Contains(err.Error(), "no such network interface") {
		t.Errorf("%v: %v", zoned, err)
	}
}

func FuzzNames(f *testing.F) {
	f.Add([]byte(header + "name a at port 1\n"))
	f.Add([]byte("HTTP/1.1 400"))
	f.Fuzz(func(t *testing.T, b []byte) {
		whole, err := readNames(bytes.NewReader(b))
		pieces, err2 := readNames(iotest.OneByteReader(bytes.NewReader(b)))
		if fmt.Sprint(whole, err) != fmt.Sprint(pieces, err2) {
			t.Errorf("whole: %v %v; in pieces: %v %v", whole, err, pieces, err2)
		}
		if err == nil {
			text := header
			for _, n := range whole {
				text += fmt.Sprintf("name %s at port %d\n", n.Name, n.Port)
			}
			again, err := readNames(strings.NewReader(text))
			if err != nil || fmt.Sprint(again) != fmt.Sprint(whole) {
				t.Errorf("%v became %v %v", whole, again, err)
			}
		}
	})
}

func FuzzPort2(f *testing.F) {
	f.Add([]byte("w\x00\x11\x22H\x00\x00\x06\x00\x05\x00\x03foo\x00\x02xy"))
	f.Add([]byte("w\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		info, err := readPort2(bytes.NewReader(b))
		if err == nil && len(info.Name)+len(info.Extra)+14 > len(b) {
			t.Errorf("%d bytes became %+v", len(b), info)
		}
	})
}
