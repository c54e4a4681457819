package owner

import (
	"net"
	"os"
	"slices"
	"testing"
)

// Both ways to look up who listens agree: on IPv4, on IPv6, on both, on several.
func TestOfPort(t *testing.T) {
	port := 0
	listen := func(network, host string) func() {
		l, err := net.ListenTCP(network, &net.TCPAddr{IP: net.ParseIP(host), Port: port})
		if err != nil {
			t.Fatal(err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		return func() { l.Close() }
	}
	for _, hosts := range [][]string{{"127.0.0.1"}, {"::1"}, {"::"}, {"127.0.0.1", "127.0.0.2", "::1"}} {
		port = 0
		var closers []func()
		for _, host := range hosts {
			closers = append(closers, listen("tcp", host))
		}
		diagnosed, err := diagnosed(query{states: stateListen, source: uint16(port)})
		if tabled := tabled(uint16(port)); err != nil || len(tabled) != len(hosts) || !same(diagnosed, tabled) {
			t.Errorf("%q: %v, %v and %v", hosts, diagnosed, err, tabled)
		}
		if p, ok := OfPort(uint16(port)); !ok || p.PID != os.Getpid() || !HasPort(os.Getpid(), uint16(port)) || HasPort(1, uint16(port)) {
			t.Errorf("%q: %v, %v", hosts, p, ok)
		}
		if !Ports()[uint16(port)] {
			t.Errorf("%q: not among all ports", hosts)
		}
		for _, c := range closers {
			c()
		}
		if p, ok := OfPort(uint16(port)); ok || Ports()[uint16(port)] {
			t.Errorf("%q: afterwards %v", hosts, p)
		}
	}
}

// same reports whether both have the same sockets. Only one way tells the backlog.
func same(a, b []Socket) bool {
	return slices.EqualFunc(a, b, func(a, b Socket) bool {
		return a.Addr == b.Addr && a.inode == b.inode && a.UID == b.UID && a.Backlog > 0 && b.Backlog == UnknownBacklog
	})
}

func BenchmarkListening(b *testing.B) {
	b.Run("diagnosed", func(b *testing.B) {
		for b.Loop() {
			diagnosed(query{states: stateListen, source: 4369})
		}
	})
	b.Run("tabled", func(b *testing.B) {
		for b.Loop() {
			tabled(4369)
		}
	})
}
