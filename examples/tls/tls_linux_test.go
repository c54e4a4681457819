// Package tls tests the example: nodes that speak TLS with certificates of certs.sh, with epmd and
// without one.
package tls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/examples/internal/exampletest"
	"github.com/beamrun/beamrun/internal/testenv"
)

func TestMain(m *testing.M) { exampletest.Main(m) }

// cluster is some nodes that find each other in one way.
type cluster struct {
	*exampletest.Host
	flags   []string                 // beamrun's
	nameOpt string                   // -sname or -name
	address func(node string) string // what stands after the @
	options func(node string) string // erl's, beside the name
	port    func(node string) int    // where it listens
}

func withEpmd(h *exampletest.Host) *cluster {
	port := func(node string) int {
		info, err := epmd.Lookup(h.T.Context(), testenv.Loopback(h.Port), node)
		if err != nil {
			h.T.Fatal(err)
		}
		return int(info.Port)
	}
	return &cluster{Host: h, nameOpt: "-sname", address: localhost, options: none, port: port}
}

// dynamicPort has a file for each node.
func dynamicPort(h *exampletest.Host) *cluster {
	port := func(node string) int {
		files, _ := filepath.Glob(h.Home + "/.cache/beamrun/nodes-*/" + node + ".*")
		if len(files) != 1 {
			h.T.Fatalf("files of %s: %q", node, files)
		}
		line, _ := os.ReadFile(files[0])
		var port int
		if _, err := fmt.Sscanf(string(line), node+" %d", &port); err != nil {
			h.T.Fatalf("%q: %v", line, err)
		}
		return port
	}
	return &cluster{Host: h, flags: []string{"--epmdless"}, nameOpt: "-sname",
		address: localhost, options: none, port: port}
}

// staticPort has each node on an address of its own, and all on one port.
func staticPort(h *exampletest.Host) *cluster {
	port := testenv.Port(h.T)
	last := map[string]int{"alice": 2, "bob": 3, "plain": 4, "mallory": 5, "elsewhere": 6,
		"erl": 7, "iex": 8}
	return &cluster{Host: h, nameOpt: "-name",
		flags:   []string{"--epmdless", "--dist-port", strconv.Itoa(int(port))},
		address: func(node string) string { return fmt.Sprintf("127.0.0.%d", last[node]) },
		options: func(node string) string {
			return fmt.Sprintf("-kernel inet_dist_use_interface {127,0,0,%d}", last[node])
		},
		port: func(string) int { return int(port) },
	}
}

func localhost(string) string { return "localhost" }
func none(string) string      { return "" }

// Nodes over TLS find each other and take remote shells, of Erlang and of Elixir; no other node
// gets in, and they join none.
func TestNodes(t *testing.T) {
	for name, way := range map[string]func(*exampletest.Host) *cluster{
		"epmd": withEpmd, "dynamic port": dynamicPort, "static port": staticPort,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testenv.Need(t, "openssl", "iex")
			c := way(exampletest.New(t))
			c.run()
			if pid := testenv.PID(c.Port); (pid != 0) != (name == "epmd") {
				t.Errorf("epmd's pid: %d", pid)
			}
		})
	}
}

func (c *cluster) run() {
	var hosts []string
	for _, node := range []string{"alice", "bob", "mallory", "erl", "iex"} {
		hosts = append(hosts, c.address(node))
	}
	ca, otherCA := c.authority(append(hosts, "elsewhere")...), c.authority(hosts...)
	ours := func(node string) string { return secure(ca, c.address(node)) }

	alice := c.start("erl", "alice", ours("alice"))
	alice.Expect(c.prompt("alice")) // the others take the cookie that was made for it
	bob := c.start("iex", "bob", ours("bob"))
	outsiders := map[string]*exampletest.Terminal{
		// to this one, alice begins a long message
		"plain":     c.start("erl", "plain", "-kernel net_setuptime 1"),
		"mallory":   c.start("erl", "mallory", secure(otherCA, c.address("mallory"))),
		"elsewhere": c.start("erl", "elsewhere", secure(ca, "elsewhere")),
	}
	bob.Expect(c.prompt("bob"))
	erlShell := c.start("erl", "erl", ours("erl"), "-remsh", c.name("alice"))
	iexShell := c.start("iex", "iex", ours("iex"), "--remsh", c.name("bob"))
	c.ping(alice, "bob", "pong")
	reconnect := func() { // the other way round
		bob.Type(fmt.Sprintf("Node.disconnect(:%q)\r", c.name("alice")))
		bob.Expect("true")
		bob.Type(fmt.Sprintf("Node.ping(:%q)\r", c.name("alice")))
		bob.Expect(":pong")
	}
	reconnect()

	for node, term := range outsiders {
		term.Expect(c.prompt(node))
		c.ping(alice, node, "pang")
	}
	c.ping(outsiders["plain"], "alice", "pang")
	c.ping(outsiders["mallory"], "alice", "pang")
	erlShell.Expect(c.prompt("alice"))
	iexShell.Expect(c.prompt("bob"))
	c.checkWire(ca, c.address("alice"), c.port("alice"))

	// a certificate of another host: only who connects looks at that, until somebody is allowed
	elsewhere := outsiders["elsewhere"]
	c.ping(elsewhere, "alice", "pong")
	alice.Type(fmt.Sprintf("net_kernel:allow(['%s', '%s']).\r", c.name("bob"), c.name("elsewhere")))
	alice.Expect("ok")
	elsewhere.Type(fmt.Sprintf("net_kernel:disconnect('%s').\r", c.name("alice")))
	elsewhere.Expect("true")
	c.ping(elsewhere, "alice", "pang")
	reconnect()
}

// authority runs certs.sh, and returns its directory.
func (c *cluster) authority(hosts ...string) string {
	c.T.Helper()
	script, err := filepath.Abs("certs.sh")
	if err != nil {
		c.T.Fatal(err)
	}
	dir := filepath.Join(c.T.TempDir(), "tls")
	hosts = slices.Compact(slices.Sorted(slices.Values(hosts)))
	c.Run(c.Home, script, append([]string{dir}, hosts...)...)
	return dir
}

// secure are the options of a node that speaks TLS, and has time on a machine that is busy.
func secure(ca, host string) string {
	return fmt.Sprintf("-proto_dist inet_tls -ssl_dist_optfile %s/%s/ssl_dist.conf "+
		"-kernel net_setuptime 30", ca, host)
}

func (c *cluster) name(node string) string { return node + "@" + c.address(node) }

// prompt is that of a shell on the node.
func (c *cluster) prompt(node string) string {
	return regexp.QuoteMeta("("+c.name(node)+")") + `\d+>`
}

// start starts a node on a terminal, and returns at once.
func (c *cluster) start(program, node, options string, more ...string) *exampletest.Terminal {
	c.T.Helper()
	options += " " + c.options(node)
	args := append(slices.Clone(c.flags), program)
	if program == "iex" {
		args = append(args, "--erl", options, "-"+c.nameOpt, c.name(node))
	} else {
		args = append(append(args, strings.Fields(options)...), c.nameOpt, c.name(node))
	}
	return exampletest.Open(c.T, c.Command(c.Home, "beamrun", append(args, more...)...))
}

// ping types a ping into a shell of Erlang's.
func (c *cluster) ping(shell *exampletest.Terminal, node, reply string) {
	c.T.Helper()
	shell.Type(fmt.Sprintf("net_adm:ping('%s').\r", c.name(node)))
	shell.Expect(reply)
}

// checkWire looks at what listens: it speaks TLS, has the host's certificate, and talks inside to
// who has one of the same authority, and to nobody else.
func (c *cluster) checkWire(ca, host string, port int) {
	c.T.Helper()
	pem, err := os.ReadFile(filepath.Join(ca, "ca.pem"))
	if err != nil {
		c.T.Fatal(err)
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: host}
	config.RootCAs.AppendCertsFromPEM(pem)
	addr := fmt.Sprintf("%s:%d", host, port)
	if reply, err := sayHello(config, addr); err == nil {
		c.T.Errorf("without a certificate: %q", reply)
	}
	dir := filepath.Join(ca, host)
	own, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		c.T.Fatal(err)
	}
	config.Certificates = []tls.Certificate{own}
	if reply, err := sayHello(config, addr); reply != "\x00\x00\x00\x03sok" {
		c.T.Errorf("with a certificate: %q, %v", reply, err)
	}
}

// sayHello begins the handshake of Erlang's distribution inside TLS, and returns the node's first
// word, after its length.
func sayHello(config *tls.Config, addr string) (string, error) {
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(exampletest.Deadline))
	// hidden, and what OTP demands of each node since version 25
	const name, flags = "hello@localhost", 0x4_0307_0f94
	hello := binary.BigEndian.AppendUint64([]byte{'N'}, flags)
	hello = binary.BigEndian.AppendUint32(hello, 1) // creation
	hello = binary.BigEndian.AppendUint16(hello, uint16(len(name)))
	hello = append(hello, name...)
	size := binary.BigEndian.AppendUint32(nil, uint32(len(hello)))
	if _, err := conn.Write(append(size, hello...)); err != nil {
		return "", err
	}
	reply := make([]byte, 7)
	n, err := io.ReadFull(conn, reply)
	return string(reply[:n]), err
}
