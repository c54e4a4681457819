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
	reply := func(result any) func(list) []byte { return func(list) []byte { return fromRex(result) } }
	refused := []any{atom("error"), atom("duplicate_name")}
	tick := []byte(nil)
	monitor := appendTerm([]byte{112, tagVersion}, []any{19, 1, 2, 3})
	another := appendTerm([]byte{112, tagVersion}, []any{2, atom(""), pid{"x@y", 1}})
	another = append(another, appendTerm([]byte{tagVersion}, []any{atom("hello"), 1})...)
	for what, c := range map[string]struct {
		node  fakeNode
		first func(net.Conn) // of the connections
		kind  Kind
		err   string // regexp
		does  bool   // the node registers
		taken uint16
	}{
		"registers":                      {node: fakeNode{call: reply([]any{atom("ok"), 3})}, does: true},
		"registered meanwhile":           {node: fakeNode{call: reply([]any{atom("error"), atom("already_registered")})}, does: true},
		"first sends other things":       {node: fakeNode{call: reply(1), noise: [][]byte{tick, monitor, {112}, {70, 1, 2}, another}}, does: true},
		"was busy":                       {node: fakeNode{call: reply(1)}, first: says("\x00\x04snok"), does: true},
		"another cookie":                 {node: fakeNode{cookie: "other"}, kind: KindCookie, err: "^node n@h: cookie: the node has another cookie; hint: .*--cookie"},
		"lies in its digest":             {node: fakeNode{lie: "other"}, kind: KindCookie, err: "the node has another cookie"},
		"another node by now":            {node: fakeNode{name: "m@h"}, kind: KindSilent, err: `there is node "m@h" now`},
		"not its own epmd":               {node: fakeNode{call: reply([]any{atom("ok"), 3})}, kind: KindEpmd, err: `another port \(its erl_epmd says {ok,3}\); hint: .*--port`},
		"already, with another epmd":     {node: fakeNode{call: reply([]any{atom("error"), atom("already_registered")})}, kind: KindEpmd, err: "already_registered"},
		"its epmd is down":               {node: fakeNode{call: reply([]any{atom("error"), atom("econnrefused")})}, kind: KindEpmd, err: "econnrefused"},
		"no erl_epmd":                    {node: fakeNode{call: reply([]any{atom("badrpc"), []any{atom("EXIT"), atom("undef")}})}, kind: KindEpmdless, err: "{badrpc,{EXIT,undef}}"},
		"its epmd refuses":               {node: fakeNode{call: reply(refused)}, kind: KindRefused, err: "its erl_epmd says {error,duplicate_name}$"},
		"an answer of any kind":          {node: fakeNode{call: reply(list{1, "x\x1b", []any{}, atom("é")})}, kind: KindRefused, err: `\[1,"x\\x1b",{},é\]$`},
		"an answer that is long":         {node: fakeNode{call: reply(strings.Repeat("x", 60000))}, kind: KindRefused, err: `^.{1,300}$`},
		"leaves at the call":             {node: fakeNode{call: func(list) []byte { return nil }}, kind: KindSilent, err: "its answer: EOF"},
		"never answers":                  {node: fakeNode{}, kind: KindSilent, err: "context deadline exceeded"},
		"a message of 4 GB":              {node: fakeNode{call: reply(1), noise: [][]byte{nil, nil, {}}}, first: huge, kind: KindSilent, err: "a message of 4294967295 bytes"},
		"an answer that is not a term":   {node: fakeNode{call: func(list) []byte { return append(fromRex(1)[:len(fromRex(1))-5], 200) }}, kind: KindSilent, err: `not understood \(tag 200\)`},
		"not allowed":                    {first: says("\x00\x0csnot_allowed"), kind: KindSilent, err: `does not take the connection: "not_allowed"`},
		"the name is somebody's by then": {node: fakeNode{call: reply(refused)}, kind: KindTaken, err: "epmd has the name n for port 1, where nobody listens", taken: 1},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			server := epmdtest.New(t)
			if c.node.name == "" {
				c.node.name = "n@h"
			}
			if c.node.cookie == "" {
				c.node.cookie = "secret0"
			}
			if call := c.node.call; call != nil {
				var once sync.Once
				c.node.call = func(args list) []byte {
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
			serve := []func(net.Conn){c.node.serve}
			if c.first != nil {
				serve = []func(net.Conn){c.first, c.node.serve}
			}
			limit := 10 * time.Second
			if strings.Contains(c.err, "deadline") {
				limit = 300 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			l := listen(t, serve...)
			epmd := server.Addr()
			err := Node{Name: "n@h", Addr: l.addr, UID: os.Geteuid(), PID: os.Getpid()}.Register(ctx, epmd, "secret0")
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
	fakeNode{name: "n@h", cookie: "secret0", call: func(list) []byte {
		c.Write(bytes.Repeat([]byte{255}, 8))
		return nil
	}}.serve(c)
}

// A node with a Problem is not touched.
func TestRegisterKeepsOff(t *testing.T) {
	l := listen(t, isSilent)
	n := Node{Name: "n@h", Addr: l.addr}
	n.Problem = n.problem(KindTwins, "", "two")
	if err := n.Register(t.Context(), l.addr, "c"); err != error(n.Problem) || l.count.Load() != 0 {
		t.Errorf("%v, %d connections", err, l.count.Load())
	}
	if err := n.RegisterItself(t.Context(), l.addr); err != error(n.Problem) || l.count.Load() != 0 {
		t.Errorf("%v, %d connections", err, l.count.Load())
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
