package orphan

import (
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/dist/disttest"
)

// A node that restarts within milliseconds finds its old name taken, until epmd hears of the old
// one's end (otp#11083): that is no reason to give up, neither before the node is told to register
// nor when it has been told.
func TestTakenForAMoment(t *testing.T) {
	needPeer(t)
	server := epmdtest.New(t)
	addr := server.Addr()
	server.Register("n", 1)
	time.AfterFunc(30*time.Millisecond, func() { server.Unregister("n") })
	s := search{epmd: addr, ports: map[string][]uint16{"n": {1}}}
	found := []Node{{Name: "n@h", Addr: netip.MustParseAddrPort("127.0.0.1:2")}}
	begin := time.Now()
	if s.judge(t.Context(), found); found[0].Problem != nil { // epmd does not have the name any more
		t.Errorf("after %v: %v", time.Since(begin), found[0].Problem)
	}
	server.Register("n", 1)
	s.ports, found[0].Problem = map[string][]uint16{"n": {1}}, nil
	begin = time.Now()
	if s.judge(t.Context(), found); found[0].Problem == nil || found[0].Problem.Kind != KindTaken || time.Since(begin) > time.Second {
		t.Errorf("held, after %v: %v", time.Since(begin), found[0].Problem)
	}

	calls := 0
	l := disttest.Listen(t, disttest.Node{Name: "n@h", Cookie: "secret0", Call: func(args dist.List) []byte {
		if calls++; calls == 1 {
			return disttest.FromRex([]any{dist.Atom("error"), dist.Atom("duplicate_name")})
		}
		server.Register("n", uint16(args[1].(int)))
		return disttest.FromRex([]any{dist.Atom("ok"), 1})
	}}.Serve)
	time.AfterFunc(10*time.Millisecond, func() { server.Unregister("n") })
	if err := (Node{Name: "n@h", Addr: l.Addr, UID: os.Geteuid(), PID: os.Getpid()}).Register(t.Context(), addr, "secret0"); err != nil || calls != 2 {
		t.Errorf("%v, %d calls", err, calls)
	}
}

// Another user's process that bears a node's name does not keep this user's node from it. Of two
// nodes of others it cannot be known whose the name is, and of two of one user neither.
func TestTwinsOfSeveralUsers(t *testing.T) {
	addr := epmdtest.New(t).Addr()
	me := os.Geteuid()
	for what, c := range map[string]struct {
		users []int
		twins []bool
	}{
		"mine and another's": {[]int{me, me + 1}, []bool{false, true}},
		"two of mine":        {[]int{me, me, me + 1}, []bool{true, true, true}},
		"two of others":      {[]int{me + 1, me + 2}, []bool{true, true}},
		"one":                {[]int{me + 1}, []bool{false}},
	} {
		s := search{epmd: addr}
		var found []Node
		for i, uid := range c.users {
			found = append(found, Node{Name: "n@h", UID: uid, PID: i + 1, Addr: netip.AddrPortFrom(addr.Addr(), uint16(i+1))})
		}
		s.judge(t.Context(), found)
		for i, n := range found {
			if (n.Problem != nil) != c.twins[i] || n.Problem != nil && n.Problem.Kind != KindTwins {
				t.Errorf("%s: the %dth: %v", what, i, n.Err())
			}
		}
	}
}
