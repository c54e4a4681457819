package cluster

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/beamrun/beamrun/examples/internal/exampletest"
)

// network is a switch, and hosts that are plugged into it. Each host has namespaces of its own
// (network, processes, mounts, name), so an epmd on the ordinary port, and a home.
type network struct {
	t     *testing.T
	pid   int // of a process in the switch's namespace
	hosts []*host
}

type host struct {
	*exampletest.Host
	name string
	port string // of the switch
	pid  int    // of the host's PID 1
}

// newNetwork makes hosts with the names host1.example, host2.example and so on.
func newNetwork(t *testing.T, hosts int, limit time.Duration) *network {
	t.Helper()
	n := &network{t: t, pid: hold(t, syscall.CLONE_NEWNET, "")}
	n.sh(`ip link add br0 type bridge && ip link set br0 up`)
	known := "127.0.0.1 localhost\n"
	for i := range hosts {
		known += fmt.Sprintf("10.77.0.%d host%d.example\n", i+1, i+1)
	}
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte(known), 0o644); err != nil {
		t.Fatal(err)
	}
	for i := range hosts {
		h := &host{Host: exampletest.New(t), name: fmt.Sprintf("host%d.example", i+1),
			port: fmt.Sprintf("port%d", i+1)}
		h.Env, h.Limit = []string{"ERL_EPMD_PORT=4369"}, limit
		h.pid = hold(t, syscall.CLONE_NEWNET|syscall.CLONE_NEWPID|
			syscall.CLONE_NEWNS|syscall.CLONE_NEWUTS, `
			mount --make-rprivate /
			mount -t proc proc /proc
			mount --bind "$1" /etc/hosts
			hostname "$2"
			ip link set lo up`, file, h.name)
		n.sh(fmt.Sprintf(`ip link add %s type veth peer name eth0 netns %d`, h.port, h.pid))
		n.sh(fmt.Sprintf(`ip link set %s master br0 up`, h.port))
		addr := fmt.Sprintf("10.77.0.%d/24", i+1)
		h.Run("/", "nsenter", h.enter("ip", "addr", "add", addr, "dev", "eth0")...)
		h.Run("/", "nsenter", h.enter("ip", "link", "set", "eth0", "up")...)
		n.hosts = append(n.hosts, h)
	}
	return n
}

// hold runs a shell script in new namespaces, and keeps them until the test, or this process, ends.
func hold(t *testing.T, namespaces uintptr, script string, args ...string) (pid int) {
	t.Helper()
	// cat ends when the pipe does, and with it, as PID 1, all of its namespace
	args = append([]string{"-euc", script + "\necho ready\nexec cat", "sh"}, args...)
	cmd := exec.Command("sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close(); cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Fatalf("no namespaces: %q, %v", line, err)
	}
	return cmd.Process.Pid
}

// sh runs a shell command on the switch.
func (n *network) sh(script string) {
	n.t.Helper()
	cmd := exec.Command("nsenter", "--target", strconv.Itoa(n.pid), "--net", "sh", "-c", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// unplug makes a host's packets vanish, and those to it, without a word to anybody.
func (n *network) unplug(h *host) { n.sh("ip link set " + h.port + " nomaster") }

func (n *network) plug(h *host) { n.sh("ip link set " + h.port + " master br0") }

// enter are nsenter's arguments for a program on the host.
func (h *host) enter(program string, args ...string) []string {
	return append([]string{"--target", strconv.Itoa(h.pid),
		"--net", "--pid", "--mount", "--uts", program}, args...)
}

// run runs a program on the host to its end and returns what it printed.
func (h *host) run(program string, args ...string) string {
	h.T.Helper()
	return h.Run("/", "nsenter", h.enter(program, args...)...)
}

// sockets counts the ends of connections between nodes that the host's kernel knows: all but those
// of epmd's.
func (h *host) sockets() (n int) {
	h.T.Helper()
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", h.pid, table))
		if err != nil {
			h.T.Fatal(err)
		}
		const established, epmd = "01", ":1111"
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line) // number, local, remote, state, …
			if f[3] == established &&
				!strings.HasSuffix(f[1], epmd) && !strings.HasSuffix(f[2], epmd) {
				n++
			}
		}
	}
	return n
}
