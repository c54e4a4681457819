package orphan

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/testenv"
)

// host is a home directory and a port for an epmd, of one test.
type host struct {
	*testing.T
	home string
	port uint16
}

func newHost(t *testing.T) *host {
	t.Helper()
	testenv.Need(t, "epmd", "erl")
	h := &host{t, t.TempDir(), testenv.Port(t)}
	h.file(".erlang.cookie", "ofthefile", 0o400)
	return h
}

func (h *host) file(name, text string, mode os.FileMode) string {
	h.Helper()
	path := filepath.Join(h.home, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		h.Fatal(err)
	}
	return path
}

// epmd starts the real one. The port ends it.
func (h *host) epmd() netip.AddrPort {
	h.Helper()
	cmd := exec.Command("epmd", "-port", strconv.Itoa(int(h.port)), "-daemon")
	if err := cmd.Run(); err != nil {
		h.Fatal(err)
	}
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), h.port)
	h.eventually("epmd answers", func() bool {
		_, err := epmd.Ping(h.Context(), addr)
		return err == nil
	})
	return addr
}

func (h *host) eventually(what string, ok func() bool) {
	h.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.Fatalf("not in time: %s", what)
		}
	}
}

// vm is a running Erlang VM, which evaluates what it is sent.
type vm struct {
	*host
	owner.Program
	cmd     *exec.Cmd
	stdin   *os.File
	answers *bufio.Reader
	log     safeBuffer // its stderr, and what it prints unasked
}

// withoutEpmd has a node do without epmd, on a port of its own choice.
var withoutEpmd = []string{"-start_epmd", "false", "-erl_epmd_port", "0"}

const evaluator = `F=fun(L)->case io:get_line("") of S when is_list(S)->{ok,T,_}=erl_scan:string(S),{ok,E}=erl_parse:parse_exprs(T),` +
	`V=try element(2,erl_eval:exprs(E,[])) catch _:X->{failed,X} end,io:format("answer ~w~n",[V]),L(L);_->halt() end end,spawn(fun()->F(F)end).`

// erl starts a VM, small and quick, and returns when it has booted.
func (h *host) erl(env []string, args ...string) *vm {
	h.Helper()
	return h.start(env, "erl", append([]string{"-noshell", "+S", "1:1", "+A", "0", "-eval", evaluator}, args...)...)
}

func (h *host) start(env []string, program string, args ...string) *vm {
	h.Helper()
	v := &vm{host: h, cmd: exec.CommandContext(h.Context(), program, args...)}
	v.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.home, "ERL_CRASH_DUMP_SECONDS=0", "LANG=C.UTF-8",
		"ERL_EPMD_PORT=" + strconv.Itoa(int(h.port))}, env...)
	in, toIt, err := os.Pipe()
	if err != nil {
		h.Fatal(err)
	}
	fromIt, out, err := os.Pipe()
	if err != nil {
		h.Fatal(err)
	}
	v.cmd.Stdin, v.cmd.Stdout, v.cmd.Stderr = in, out, &v.log
	v.stdin, v.answers = toIt, bufio.NewReader(fromIt)
	if err := v.cmd.Start(); err != nil {
		h.Fatal(err)
	}
	in.Close()
	out.Close()
	fromIt.SetReadDeadline(time.Now().Add(50 * time.Second))
	h.Cleanup(func() {
		v.cmd.Process.Kill()
		v.cmd.Wait()
		toIt.Close()
		fromIt.Close()
	})
	if v.eval("ok") != "ok" {
		h.Fatalf("it did not boot: %q", v.log.String())
	}
	vms, _ := owner.VMs(h.Context())
	i := slices.IndexFunc(vms, func(o owner.Program) bool { return o.PID == v.cmd.Process.Pid })
	if i < 0 {
		h.Fatalf("pid %d is no VM", v.cmd.Process.Pid)
	}
	v.Program = vms[i]
	return v
}

// eval returns the value of Erlang expressions.
func (v *vm) eval(text string) string {
	v.Helper()
	fmt.Fprintln(v.stdin, text+".")
	for {
		line, err := v.answers.ReadString('\n')
		if answer, ok := strings.CutPrefix(line, "answer "); ok {
			return strings.TrimSpace(answer)
		}
		v.log.Write([]byte(line))
		if err != nil {
			v.Fatalf("%s: %v: %s", text, err, v.log.String())
		}
	}
}

// found returns what Find found of the VM, a Node without a name if nothing.
func (v *vm) found(addr netip.AddrPort) Node {
	v.Helper()
	nodes, _, err := Find(v.Context(), addr)
	if err != nil {
		v.Error(err)
	}
	for _, n := range nodes {
		if n.PID == v.PID {
			return n
		}
	}
	return Node{}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
