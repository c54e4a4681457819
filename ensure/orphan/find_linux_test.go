package orphan

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/dist"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Nodes of all kinds that epmd does not know: each is found, registers itself, and has its name as
// long as it lives.
func TestFindAndRegister(t *testing.T) {
	hostname, _ := os.Hostname()
	hostname, _, _ = strings.Cut(hostname, ".")
	for what, c := range map[string]struct {
		args       []string
		before     string // evaluated before
		name       string
		hidden, v6 bool
	}{
		"short name":  {args: []string{"-sname", "short"}, name: "short@" + hostname},
		"long name":   {args: []string{"-name", "long@127.0.0.1"}, name: "long@127.0.0.1"},
		"hidden":      {args: []string{"-sname", "hidden", "-hidden"}, name: "hidden@" + hostname, hidden: true},
		"IPv6":        {args: []string{"-name", "six@localhost.localdomain", "-proto_dist", "inet6_tcp"}, name: "six@localhost.localdomain", v6: true},
		"one address": {args: []string{"-sname", "one", "-kernel", "inet_dist_use_interface", "{127,0,0,1}"}, name: "one@" + hostname},
		"named later": {before: "{ok,_}=net_kernel:start([later,shortnames])", name: "later@" + hostname},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			v := h.erl(nil, append(c.args, withoutEpmd...)...)
			if c.before != "" {
				v.eval(c.before)
			}
			addr := h.epmd() // later than the node
			n := v.found(addr)
			if n.Name != c.name || n.Problem != nil || n.Hidden != c.hidden || n.UID != os.Getuid() || !n.ByChoice || n.Lost() || n.Addr.Addr().Is6() != c.v6 {
				t.Fatalf("found: %+v", n)
			}
			cookie, cerr := n.cookie(t.Context())
			if cerr != nil {
				t.Fatal(cerr)
			}
			if err := n.Register(t.Context(), addr, cookie); err != nil {
				t.Fatal(err)
			}
			info, err := epmd.Lookup(t.Context(), addr, n.Short())
			if err != nil || info.Port != n.Addr.Port() {
				t.Errorf("%+v, %v", info, err)
			}
			if again := v.found(addr); again.Name != "" {
				t.Errorf("still found: %+v", again)
			}
			if err := n.Register(t.Context(), addr, cookie); err != nil {
				t.Errorf("again: %v", err)
			}
			v.eval("timer:sleep(20)") // its logger
			if log := v.log.String(); log != "" {
				t.Errorf("its log: %s", log)
			}
			v.cmd.Process.Kill()
			v.cmd.Wait()
			h.eventually("its name is gone", func() bool {
				_, err := epmd.Lookup(t.Context(), addr, n.Short())
				return errors.Is(err, epmd.ErrNotRegistered)
			})
		})
	}
}

// A node that epmd knows is not found, also not one that took its name later; nor one of another
// epmd as one of this.
func TestFindsOnlyTheLost(t *testing.T) {
	h := newHost(t)
	addr := h.epmd()
	v := h.erl(nil, "-sname", "known")
	if n := v.found(addr); n.Name != "" {
		t.Errorf("found: %+v", n)
	}
	v = h.erl(nil)
	if n := v.found(addr); n.Name != "" {
		t.Errorf("found without a name: %+v", n)
	}
	v.eval("{ok,_}=net_kernel:start([later,shortnames])")
	if n := v.found(addr); n.Name != "" {
		t.Errorf("found after it took a name: %+v", n)
	}
	v = h.erl(nil, "-sname", "first", "-kernel", "start_distribution", "false")
	v.eval("{ok,_}=net_kernel:start([second,shortnames])")
	if n := v.found(addr); n.Name != "" {
		t.Errorf("found after it took another name than that of its arguments: %+v", n)
	}
	other := &host{t, h.home, testenv.Port(t)}
	n := other.erl(nil, append([]string{"-sname", "others"}, withoutEpmd...)...).found(addr)
	if n.Name != "others" || n.Problem == nil || n.Problem.Kind != KindEpmd || n.Lost() {
		t.Errorf("of another epmd: %+v", n)
	}
}

// A node on a port that all nodes share has lost nothing, whatever way it was told; it is not even
// asked, but where its arguments do not say its name.
func TestFindsNoNodeOfASharedPort(t *testing.T) {
	hostname, _ := os.Hostname()
	hostname, _, _ = strings.Cut(hostname, ".")
	flag, parameter := []string{"-erl_epmd_port"}, []string{"-kernel", "inet_dist_use_interface", "{127,0,0,1}", "erl_epmd_node_listen_port"}
	for what, c := range map[string]struct {
		way    []string
		args   []string
		before string // evaluated before
		name   string
	}{
		"flag":        {way: flag, args: []string{"-sname", "shared"}, name: "shared"},
		"parameter":   {way: parameter, args: []string{"-sname", "shared"}, name: "shared"},
		"named later": {way: flag, before: "{ok,_}=net_kernel:start([shared,shortnames])", name: "shared@" + hostname},
		"only visits": {way: flag, args: []string{"-sname", "shared", "-dist_listen", "false"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			port := strconv.Itoa(int(testenv.Port(t)))
			way := append(c.way[:len(c.way):len(c.way)], port)
			if h.erl(nil, way...).eval(`erl_epmd:listen_port_please("a","h")`) != "{ok,"+port+"}" {
				t.Logf("this OTP does not know %q", c.way)
				way = append(flag[:1:1], port)
			}
			v := h.erl(nil, append(append(way, "-start_epmd", "false"), c.args...)...)
			if c.before != "" {
				v.eval(c.before)
			}
			n := v.found(h.epmd()) // later than the node
			if c.name == "" {
				if n.Name != "" {
					t.Errorf("found: %+v", n)
				}
				return
			}
			if n.Name != c.name || n.Problem == nil || n.Problem.Kind != KindEpmdless || n.Problem.Hint != "" || n.Lost() || !n.Apart() ||
				n.Problem.Err.Error() != "it listens on port "+port+", as all of its peers" || strconv.Itoa(int(n.Addr.Port())) != port {
				t.Errorf("found: %+v", n)
			}
		})
	}
}

// What else a node listens on gets no byte and no connection: neither that of one with a name, nor
// of one without.
func TestFindSendsNothingElsewhere(t *testing.T) {
	h := newHost(t)
	const servers = `Log=ets:new(log,[public,named_table,ordered_set]),Echo=fun(F,S)->case gen_tcp:recv(S,0) of {ok,B}->ets:insert(log,` +
		`{erlang:unique_integer([monotonic]),B}),gen_tcp:send(S,B),F(F,S);_->ok end end,` +
		`Accept=fun(F,L)->{ok,S}=gen_tcp:accept(L),ets:insert(log,{erlang:unique_integer([monotonic]),accepted}),` +
		`P=spawn(fun()->receive go->Echo(Echo,S) end end),gen_tcp:controlling_process(S,P),P!go,F(F,L) end,` +
		`Me=self(),[begin spawn(fun()->{ok,L}=gen_tcp:listen(0,[{ip,{127,0,0,1}},{active,false},{backlog,B}]),{ok,P}=inet:port(L),Me!{port,P},` +
		`Accept(Accept,L) end),receive {port,P}->P end end||B<-[5,1024]]`
	for _, args := range [][]string{nil, append([]string{"-sname", "server"}, withoutEpmd...)} {
		v := h.erl(nil, args...)
		ports := v.eval(servers)
		addr := h.epmd()
		for range 10 {
			if n := v.found(addr); (n.Name == "") != (args == nil) || n.Problem != nil {
				t.Errorf("%q: found: %+v", args, n)
			}
		}
		if log := v.eval("ets:tab2list(log)"); log != "[]" {
			t.Errorf("%q: the servers on %s got %s", args, ports, log)
		}
		// it would have been seen
		port, _, _ := strings.Cut(strings.TrimPrefix(ports, "["), ",")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		dist.Ask(ctx, netip.MustParseAddrPort("127.0.0.1:"+strings.Trim(port, "]")))
		cancel()
		if log := v.eval("ets:tab2list(log)"); !strings.Contains(log, "accepted") {
			t.Errorf("%q: after a question to port %s: %s", args, port, log)
		}
		testenv.Kill(t, h.port)
	}
}

// To ask leaves nothing behind: no line in the log, no other names, and of atoms those of our own
// names, a hundred at most.
func TestAskingLeavesNothing(t *testing.T) {
	h := newHost(t)
	v := h.erl(nil, append([]string{"-sname", "asked"}, withoutEpmd...)...)
	addr := h.epmd()
	n := v.found(addr)
	const state = "{erlang:system_info(atom_count),nodes(connected),length(processes()),length(erlang:ports())}"
	v.eval(state)
	before := v.eval(state)
	for i := range 100 {
		if name, _, err := dist.Ask(t.Context(), n.Addr); err != nil || name != n.Name {
			t.Fatalf("the %dth time: %q, %v", i, name, err)
		}
	}
	if again := v.found(addr); again.Name != n.Name {
		t.Errorf("then: %+v", again)
	}
	atoms := func(s string) (count int, rest string) {
		text, rest, _ := strings.Cut(strings.TrimPrefix(s, "{"), ",")
		count, _ = strconv.Atoi(text)
		return count, rest
	}
	had, rest := atoms(before)
	var has int
	h.eventually("all is as it was", func() bool { // the last connection's process may still be there
		var now string
		has, now = atoms(v.eval(state))
		return now == rest
	})
	t.Logf("100 questions: %d more atoms", has-had)
	if has-had > 100 {
		t.Errorf("%s, then %d atoms", before, has)
	}
	v.eval("timer:sleep(20)") // its logger
	if log := v.log.String(); log != "" {
		t.Errorf("its log: %s", log)
	}
	if names, err := epmd.Names(t.Context(), addr); err != nil || len(names) != 0 {
		t.Errorf("%v, %v", names, err)
	}
}
