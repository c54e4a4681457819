// Package cluster tests the example: three hosts with beamrun on each, and Erlang's own
// distribution between them.
package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/examples/internal/exampletest"
	"github.com/beamrun/beamrun/internal/testenv"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

// The secrets have 32 bytes, as `openssl rand -hex 16` makes them.
const secret, otherSecret = "a3f1c09be5724d6a8c0f2e917b45d836", "0d84b7e2619f43ca95e83a7d52cf1b60"

// Three hosts come up, one is cut off and comes back, a node is killed and comes back, and a node
// with another secret stays out.
func TestCluster(t *testing.T) {
	testenv.Need(t, "ip", "nsenter", "erlc", "pgrep")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make hosts")
	}
	perHost, batch, limit, flags := 2, 2, exampletest.Deadline, "-kernel net_ticktime 4"
	if os.Getenv("BEAMRUN_ALL") != "" {
		// Without global: each of its locks asks all nodes, see README.md. A try may take long
		// where all processors are busy.
		perHost, batch, limit = 100, 10, 15*time.Minute
		flags = "-connect_all false -kernel net_ticktime 60 net_setuptime 30"
	}
	c := newCluster(t, limit, flags)
	all := func() string { return c.mesh(c.nodes) }

	begin := time.Now()
	for from := 0; from < perHost; from += batch {
		for _, h := range c.net.hosts {
			for i := from; i < from+batch; i++ {
				c.start(h, fmt.Sprintf("app%d@%s", i+1, h.name), secret)
			}
		}
		c.await(all)
		if perHost > batch {
			t.Logf("%d nodes after %s", len(c.nodes), since(begin))
		}
	}
	c.report("full mesh, from no epmd", begin)
	n := len(c.nodes)
	c.await(func() string { // on a simultaneous connect there are two for a moment
		return unless(c.sockets() == n*(n-1), "%d ends of connections", c.sockets())
	})
	t.Logf("%d connections", c.sockets()/2)
	memory := 0
	for _, h := range c.net.hosts {
		kB, _ := strconv.Atoi(h.run("sh", "-c", `
			for p in $(pgrep -x beam.smp); do cat /proc/$p/smaps_rollup; done |
			awk '/^Pss:/ {n += $2} END {print n}'`))
		memory += kB
		// by beamrun, once
		epmds := h.run("pgrep", "-a", "-x", "epmd")
		if !regexp.MustCompile(`^\d+ \S*epmd -port 4369$`).MatchString(epmds) {
			t.Errorf("%s has the epmds %q", h.name, epmds)
		}
	}
	t.Logf("%d MiB, %d for a node", memory>>10, memory>>10/n)
	checkArguments(t)

	third := c.net.hosts[2]
	rest, cutOff := c.nodes[:0:0], c.nodes[:0:0]
	for _, n := range c.nodes {
		if n.host == third {
			cutOff = append(cutOff, n)
		} else {
			rest = append(rest, n)
		}
	}
	begin = time.Now()
	c.net.unplug(third)
	c.await(func() string { return c.mesh(rest) })
	c.report("host 3 cut off: the others know", begin)
	c.await(func() string { return c.mesh(cutOff) })
	c.report("host 3 cut off: it knows", begin)
	begin = time.Now()
	c.net.plug(third)
	c.await(all)
	c.report("host 3 back: full mesh", begin)

	victim := c.nodes[slices.IndexFunc(c.nodes, func(n *node) bool {
		return n.name == "app2@host2.example"
	})]
	begin = time.Now()
	c.kill(victim)
	c.await(all)
	c.report("a node killed: the others know", begin)
	begin = time.Now()
	c.start(victim.host, victim.name, secret)
	c.await(all)
	c.report("and restarted: full mesh", begin)

	begin = time.Now()
	stranger := c.start(third, "stranger@"+third.name, otherSecret)
	c.nodes = c.nodes[:n]
	rejected := "Connection attempt from node '" + stranger.name + "' rejected"
	c.await(func() string {
		for _, seed := range c.nodes {
			if slices.Contains(c.peers, seed.name) && !strings.Contains(seed.printed(), rejected) {
				return seed.name + " has refused nobody"
			}
		}
		return ""
	})
	c.report("another secret: refused by all peers", begin)
	for _, n := range c.nodes {
		if strings.Contains(n.printed(), " nodeup "+stranger.name) {
			t.Errorf("%s has let %s in", n.name, stranger.name)
		}
	}
	if text := stranger.printed(); strings.Contains(text, " nodeup ") {
		t.Errorf("it got in:\n%s", text)
	}
	if missing := all(); missing != "" {
		t.Errorf("the others: %s", missing)
	}
	checkArguments(t)
	c.report("in all", c.begin)
}

// checkArguments looks for a secret, or a cookie made of it, in the arguments of any process.
func checkArguments(t *testing.T) {
	t.Helper()
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, s := range []string{secret, otherSecret} {
		key, err := cookie.Derive([]byte(s), "demo")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			args := testenv.ReadStart(f)
			if bytes.Contains(args, []byte(s)) || bytes.Contains(args, []byte(key)) {
				t.Errorf("%s shows the secret: %q", f, args)
			}
		}
	}
}

// cluster is what runs on three hosts.
type cluster struct {
	t     *testing.T
	net   *network
	ebin  string
	peers []string // a node of each host; without global, all that were started
	flags []string // of erl
	limit time.Duration
	begin time.Time
	nodes []*node
}

type node struct {
	host  *host
	name  string
	log   string // a file
	ended chan bool
	read  int64           // of the log
	sees  map[string]bool // by what it has printed so far
}

func newCluster(t *testing.T, limit time.Duration, flags string) *cluster {
	t.Helper()
	c := &cluster{t: t, net: newNetwork(t, 3, limit), ebin: t.TempDir(),
		flags: strings.Fields(flags), limit: limit, begin: time.Now()}
	if out, err := exec.Command("erlc", "-o", c.ebin, "cluster.erl").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, h := range c.net.hosts {
		c.peers = append(c.peers, "app1@"+h.name)
	}
	return c
}

// start starts a node by beamrun.
func (c *cluster) start(h *host, name, secret string) *node {
	c.t.Helper()
	n := &node{host: h, name: name, log: filepath.Join(h.Home, name+".log"),
		ended: make(chan bool), sees: map[string]bool{}}
	out, err := os.Create(n.log)
	if err != nil {
		c.t.Fatal(err)
	}
	defer out.Close()
	if slices.Contains(c.flags, "-connect_all") && !slices.Contains(c.peers, name) {
		c.peers = append(c.peers, name)
	}
	// as small as a node gets; and it starts no epmd
	args := strings.Fields("--cookie derive:demo erl -noinput -start_epmd false " +
		"+S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +sbwt none +Q 2048 -s cluster")
	args = slices.Concat(args, []string{"-name", name, "-pa", c.ebin}, c.flags)
	cmd := h.Command("/", "nsenter", h.enter("beamrun", args...)...)
	cmd.Env = append(cmd.Env, "BEAMRUN_SECRET="+secret, "PEERS="+strings.Join(c.peers, " "))
	cmd.Stdout, cmd.Stderr = out, out
	// The test's end kills the host, not nsenter: that is the node's parent, and has to wait for
	// it, else the host does not end.
	cmd.Cancel, cmd.WaitDelay = func() error { return nil }, 0
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	go func() { cmd.Wait(); close(n.ended) }()
	c.nodes = append(c.nodes, n)
	return n
}

// kill ends a node by SIGKILL; `beamrun names` knows its pid.
func (c *cluster) kill(n *node) {
	c.t.Helper()
	short, _, _ := strings.Cut(n.name, "@")
	var found struct{ PID int }
	text := n.host.run("beamrun", "--json", "names", short)
	if json.Unmarshal([]byte(text), &found) != nil || found.PID == 0 {
		c.t.Fatalf("%s: %s", n.name, text)
	}
	n.host.run("kill", "-KILL", strconv.Itoa(found.PID))
	select {
	case <-n.ended:
	case <-time.After(exampletest.Deadline):
		c.t.Fatalf("%s does not end", n.name)
	}
	c.nodes = slices.DeleteFunc(c.nodes, func(other *node) bool { return other == n })
}

// printed is all that a node has printed.
func (n *node) printed() string {
	text, _ := os.ReadFile(n.log)
	return string(text)
}

var change = regexp.MustCompile(`(?m)^\S+ node(up|down) (\S+)\n`)

// update reads what a node has printed since.
func (n *node) update() {
	f, err := os.Open(n.log)
	if err != nil {
		return
	}
	defer f.Close()
	var text bytes.Buffer
	f.Seek(n.read, 0)
	text.ReadFrom(f)
	whole := text.Bytes()[:bytes.LastIndexByte(text.Bytes(), '\n')+1]
	n.read += int64(len(whole))
	for _, m := range change.FindAllSubmatch(whole, -1) {
		if peer := string(m[2]); string(m[1]) == "up" {
			n.sees[peer] = true
		} else {
			delete(n.sees, peer)
		}
	}
}

// mesh returns what is missing until each of these nodes sees the others of them and no more.
func (c *cluster) mesh(nodes []*node) string {
	for _, n := range nodes {
		n.update()
		for _, other := range nodes {
			if n != other && !n.sees[other.name] {
				return n.name + " does not see " + other.name
			}
		}
		if len(n.sees) != len(nodes)-1 {
			return fmt.Sprintf("%s sees %d nodes, want %d", n.name, len(n.sees), len(nodes)-1)
		}
	}
	return ""
}

func (c *cluster) sockets() (n int) {
	for _, h := range c.net.hosts {
		n += h.sockets()
	}
	return n
}

// await waits until nothing is missing.
func (c *cluster) await(missing func() string) {
	c.t.Helper()
	for deadline := time.Now().Add(c.limit); ; time.Sleep(20 * time.Millisecond) {
		what := missing()
		if what == "" {
			return
		}
		if time.Now().After(deadline) {
			for _, n := range c.nodes[:min(len(c.nodes), 6)] {
				text := n.printed()
				c.t.Logf("%s:\n%s", n.name, text[max(0, len(text)-3000):])
			}
			c.t.Fatal(what)
		}
	}
}

// report is a line of the README's table.
func (c *cluster) report(what string, begin time.Time) {
	c.t.Helper()
	c.t.Logf("%-40s %s", what, since(begin))
}

func since(begin time.Time) string { return fmt.Sprintf("%.2f s", time.Since(begin).Seconds()) }

func unless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
