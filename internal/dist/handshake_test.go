package dist_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/dist/disttest"
)

// How each that may listen is met: by which error, within the deadline, and over how many
// connections.
func TestMeet(t *testing.T) {
	v6 := string(disttest.Packet([]byte("sok")...)) + string(disttest.Challenge6("a@h", dist.Flags6|dist.FlagPublished))
	v5 := string(disttest.Packet([]byte("sok")...)) + string(disttest.Challenge5("old@h", dist.Flags5))
	leaves := disttest.Says("")
	only5 := func(c net.Conn) {
		if hello := disttest.Message(c); len(hello) > 7 && hello[0] == 'n' && string(hello[7:]) == dist.OurName() {
			io.WriteString(c, v5)
		}
	}
	status := func(s string) func(net.Conn) { return disttest.Says(string(disttest.Packet([]byte(s)...))) }
	for what, c := range map[string]struct {
		serve       []func(net.Conn)
		name        string
		hidden      bool
		err         error // errors.Is; a refusal
		connections int
	}{
		"version 6":             {serve: []func(net.Conn){disttest.Says(v6)}, name: "a@h", connections: 1},
		"version 5 only":        {serve: []func(net.Conn){only5}, name: "old@h", hidden: true, connections: 2},
		"ok_simultaneous":       {serve: []func(net.Conn){disttest.Says(string(disttest.Packet([]byte("sok_simultaneous")...)) + v6[5:])}, name: "a@h", connections: 1},
		"not allowed":           {serve: []func(net.Conn){status("snot_allowed")}, err: dist.Refusal("not_allowed"), connections: 1},
		"nok, then ok":          {serve: []func(net.Conn){status("snok"), disttest.Says(v6)}, name: "a@h", connections: 2},
		"alive, then ok":        {serve: []func(net.Conn){status("salive"), disttest.Says(v6)}, name: "a@h", connections: 2},
		"nok, always":           {serve: []func(net.Conn){status("snok")}, err: dist.Refusal("nok"), connections: 2},
		"a word without end":    {serve: []func(net.Conn){status("s" + strings.Repeat("x", 60000))}, err: dist.Refusal(strings.Repeat("x", 20)), connections: 2},
		"no status":             {serve: []func(net.Conn){status("ok")}, err: dist.ErrNotNode, connections: 1},
		"an empty message":      {serve: []func(net.Conn){status("")}, err: dist.ErrNotNode, connections: 1},
		"no challenge":          {serve: []func(net.Conn){disttest.Says("\x00\x03sok\x00\x01N")}, err: dist.ErrNotNode, connections: 1},
		"a name that is longer": {serve: []func(net.Conn){disttest.Says("\x00\x03sok" + strings.Replace(v6[5:], "\x00\x03a@h", "\xff\xffa@h", 1))}, err: dist.ErrNotNode, connections: 1},
		"it leaves":             {serve: []func(net.Conn){leaves}, err: dist.ErrNotNode, connections: 2},
		"silent":                {serve: []func(net.Conn){disttest.Silent}, err: context.DeadlineExceeded, connections: 1},
		"silent after its ok":   {serve: []func(net.Conn){func(c net.Conn) { io.WriteString(c, "\x00\x03sok"); disttest.Silent(c) }}, err: context.DeadlineExceeded, connections: 1},
		"nok, then silent":      {serve: []func(net.Conn){status("snok"), disttest.Silent}, err: context.DeadlineExceeded, connections: 2},
		"a TLS alert":           {serve: []func(net.Conn){disttest.Says("\x15\x03\x03\x00\x02\x02\x28")}, err: dist.ErrTLS, connections: 1},
		"text":                  {serve: []func(net.Conn){disttest.Says("220 mail.example ESMTP\r\n")}, err: io.ErrUnexpectedEOF, connections: 1},
		"garbage":               {serve: []func(net.Conn){disttest.Says("\x00\x10" + strings.Repeat("\xa7", 300))}, err: dist.ErrNotNode, connections: 1},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			l := disttest.Listen(t, c.serve...)
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			if c.err != context.DeadlineExceeded {
				ctx, cancel = context.WithTimeout(t.Context(), 10*time.Second)
			}
			defer cancel()
			begin := time.Now()
			name, hidden, err := dist.Ask(ctx, l.Addr)
			if name != c.name || hidden != c.hidden || !errors.Is(err, c.err) || l.Connections() != c.connections {
				t.Errorf("%q, hidden %v, %v, after %d connections", name, hidden, err, l.Connections())
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("after %v", took)
			}
		})
	}
	// cut after each byte
	for _, whole := range []string{v6, v5} {
		for n := range len(whole) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			name, _, err := dist.Ask(ctx, disttest.Listen(t, disttest.Says(whole[:n])).Addr)
			cancel()
			nodes5 := whole == v5 && n > len(whole)-len("old@h") // this version says no length of the name, but that of the message
			if name != "" || err == nil || nodes5 && !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("after %d bytes of %q: %q, %v", n, whole, name, err)
			}
		}
	}
	// nobody
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var op *net.OpError
	if _, _, err := dist.Ask(t.Context(), l.Addr().(*net.TCPAddr).AddrPort()); !errors.As(err, &op) || op.Op != "dial" {
		t.Errorf("nobody: %v", err)
	}
}

// Real servers of other protocols.
func TestMeetStrangers(t *testing.T) {
	ask := func(server net.Addr) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		name, _, err := dist.Ask(ctx, server.(*net.TCPAddr).AddrPort())
		if name != "" {
			t.Errorf("it has the name %q", name)
		}
		return err
	}
	web := httptest.NewServer(http.NotFoundHandler())
	defer web.Close()
	// it may wait for the line's end
	if err := ask(web.Listener.Addr()); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("HTTP: %v", err)
	}
	server := epmdtest.New(t)
	addr := net.TCPAddrFromAddrPort(server.Addr())
	if err := ask(addr); !errors.Is(err, dist.ErrNotNode) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("epmd: %v", err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	if err := ask(l.Addr()); !errors.Is(err, dist.ErrNotNode) && !errors.Is(err, dist.ErrTLS) { // Go's leaves without an alert
		t.Errorf("TLS: %v", err)
	}
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
