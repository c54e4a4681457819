package orphan

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/dist/disttest"
	"github.com/beamrun/beamrun/internal/testenv"
)

// needPeer skips a test of what is proven where the system does not say to whom: see SECURITY.md.
func needPeer(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		testenv.Skip(t, "no cookie is proven here: this system does not say to whom a connection's other end belongs")
	}
}

// What becomes of a registration, for each that the node may do: the error's kind and text, and
// what epmd has.
func TestRegisterWithFakes(t *testing.T) {
	needPeer(t)
	reply := func(result any) func(dist.List) []byte {
		return func(dist.List) []byte { return disttest.FromRex(result) }
	}
	refused := []any{dist.Atom("error"), dist.Atom("duplicate_name")}
	tick := []byte(nil)
	monitor := dist.AppendTerm([]byte{112, dist.TagVersion}, []any{19, 1, 2, 3})
	another := dist.AppendTerm([]byte{112, dist.TagVersion}, []any{2, dist.Atom(""), dist.PID{Node: "x@y", Creation: 1}})
	another = append(another, dist.AppendTerm([]byte{dist.TagVersion}, []any{dist.Atom("hello"), 1})...)
	for what, c := range map[string]struct {
		node  disttest.Node
		first func(net.Conn) // of the connections
		kind  Kind
		err   string // regexp
		does  bool   // the node registers
		taken uint16
	}{
		"registers":                      {node: disttest.Node{Call: reply([]any{dist.Atom("ok"), 3})}, does: true},
		"registered meanwhile":           {node: disttest.Node{Call: reply([]any{dist.Atom("error"), dist.Atom("already_registered")})}, does: true},
		"first sends other things":       {node: disttest.Node{Call: reply(1), Noise: [][]byte{tick, monitor, {112}, {70, 1, 2}, another}}, does: true},
		"was busy":                       {node: disttest.Node{Call: reply(1)}, first: disttest.Says("\x00\x04snok"), does: true},
		"another cookie":                 {node: disttest.Node{Cookie: "other"}, kind: KindCookie, err: "^node n@h: cookie: the node has another cookie; hint: .*--cookie"},
		"lies in its digest":             {node: disttest.Node{Lie: "other"}, kind: KindCookie, err: "the node has another cookie"},
		"another node by now":            {node: disttest.Node{Name: "m@h"}, kind: KindSilent, err: `there is node "m@h" now`},
		"not its own epmd":               {node: disttest.Node{Call: reply([]any{dist.Atom("ok"), 3})}, kind: KindEpmd, err: `another port \(its erl_epmd says {ok,3}\); hint: .*--port`},
		"already, with another epmd":     {node: disttest.Node{Call: reply([]any{dist.Atom("error"), dist.Atom("already_registered")})}, kind: KindEpmd, err: "already_registered"},
		"its epmd is down":               {node: disttest.Node{Call: reply([]any{dist.Atom("error"), dist.Atom("econnrefused")})}, kind: KindEpmd, err: "econnrefused"},
		"no erl_epmd":                    {node: disttest.Node{Call: reply([]any{dist.Atom("badrpc"), []any{dist.Atom("EXIT"), dist.Atom("undef")}})}, kind: KindEpmdless, err: "{badrpc,{EXIT,undef}}"},
		"its epmd refuses":               {node: disttest.Node{Call: reply(refused)}, kind: KindRefused, err: "its erl_epmd says {error,duplicate_name}$"},
		"an answer of any kind":          {node: disttest.Node{Call: reply(dist.List{1, "x\x1b", []any{}, dist.Atom("é")})}, kind: KindRefused, err: `\[1,"x\\x1b",{},é\]$`},
		"an answer that is long":         {node: disttest.Node{Call: reply(strings.Repeat("x", 60000))}, kind: KindRefused, err: `^.{1,300}$`},
		"leaves at the call":             {node: disttest.Node{Call: func(dist.List) []byte { return nil }}, kind: KindSilent, err: "its answer: EOF"},
		"never answers":                  {node: disttest.Node{}, kind: KindSilent, err: "context deadline exceeded"},
		"a message of 4 GB":              {node: disttest.Node{Call: reply(1), Noise: [][]byte{nil, nil, {}}}, first: huge, kind: KindSilent, err: "a message of 4294967295 bytes"},
		"an answer that is not a term":   {node: disttest.Node{Call: func(dist.List) []byte { return append(disttest.FromRex(1)[:len(disttest.FromRex(1))-5], 200) }}, kind: KindSilent, err: `not understood \(tag 200\)`},
		"not allowed":                    {first: disttest.Says("\x00\x0csnot_allowed"), kind: KindSilent, err: `does not take the connection: "not_allowed"`},
		"the name is somebody's by then": {node: disttest.Node{Call: reply(refused)}, kind: KindTaken, err: "epmd has the name n for port 1, where nobody listens", taken: 1},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := epmdtest.New(t)
			if c.node.Name == "" {
				c.node.Name = "n@h"
			}
			if c.node.Cookie == "" {
				c.node.Cookie = "secret0"
			}
			if call := c.node.Call; call != nil {
				var once sync.Once
				c.node.Call = func(args dist.List) []byte {
					if len(args) != 2 || args[0] != "n" {
						t.Errorf("called with %v", args)
					}
					if c.does {
						server.Register("n", uint16(args[1].(int)))
					}
					if c.taken != 0 {
						once.Do(func() { server.Register("n", c.taken) })
					}
					return call(args)
				}
			}
			serve := []func(net.Conn){c.node.Serve}
			if c.first != nil {
				serve = []func(net.Conn){c.first, c.node.Serve}
			}
			limit := 10 * time.Second
			if strings.Contains(c.err, "deadline") {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			l := disttest.Listen(t, serve...)
			epmd := server.Addr()
			err := Node{Name: "n@h", Addr: l.Addr, UID: os.Geteuid(), PID: os.Getpid()}.Register(ctx, epmd, "secret0")
			var e *Problem
			if c.err == "" {
				if err != nil {
					t.Error(err)
				}
			} else if !errors.As(err, &e) || e.Kind != c.kind || !regexp.MustCompile(c.err).MatchString(err.Error()) {
				t.Errorf("%v", err)
			} else if strings.Contains(err.Error(), "secret0") {
				t.Errorf("the cookie is in %v", err)
			}
		})
	}
}

// huge finishes the handshake and then begins a message of 4 GB.
func huge(c net.Conn) {
	disttest.Node{Name: "n@h", Cookie: "secret0", Call: func(dist.List) []byte {
		c.Write(bytes.Repeat([]byte{255}, 8))
		return nil
	}}.Serve(c)
}

// A node with a Problem is not touched.
func TestRegisterKeepsOff(t *testing.T) {
	l := disttest.Listen(t, disttest.Silent)
	n := Node{Name: "n@h", Addr: l.Addr}
	n.Problem = n.problem(KindTwins, "", "two")
	if err := n.Register(t.Context(), l.Addr, "c"); err != error(n.Problem) || l.Connections() != 0 {
		t.Errorf("%v, %d connections", err, l.Connections())
	}
	if err := n.RegisterItself(t.Context(), l.Addr); err != error(n.Problem) || l.Connections() != 0 {
		t.Errorf("%v, %d connections", err, l.Connections())
	}
}

func TestIs(t *testing.T) {
	for _, c := range []struct {
		name, arg string
		is        bool
	}{
		{"a@h", "a@h", true}, {"a@h", "a", true}, {"a@h", "a@other", false}, {"a@h", "b", false}, {"a@h", "", false},
		{"a", "a@h", true}, {"a", "a", true}, {"", "a", false}, {"a", "b@h", false},
	} {
		if got := (Node{Name: c.name}).Is(c.arg); got != c.is {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
