package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// more starts nodes until there are n, and returns them with those that there were.
func (h *repairHost) more(nodes []*exec.Cmd, n int) []*exec.Cmd {
	h.t.Helper()
	first := len(nodes)
	for len(nodes) < n {
		args := erl("-sname", fmt.Sprint(h.name, len(nodes)))
		cmd := h.lasting(args[0], args[1:]...)
		if err := cmd.Start(); err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		nodes = append(nodes, cmd)
	}
	for i := first; i < n; i++ {
		h.registered(fmt.Sprint(h.name, i))
	}
	return nodes
}

// onHost has the benchmark call commands of beamrun in this process, on that host.
func onHost(b *testing.B) *repairHost {
	h := newRepairHost(b)
	b.Setenv("HOME", h.home)
	b.Setenv("ERL_EPMD_PORT", strconv.Itoa(int(h.port)))
	for _, name := range []string{"XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"} {
		b.Setenv(name, "")
	}
	h.run("beamrun", "ensure")
	return h
}

// call is a command of beamrun in this process; it returns what that printed.
func call(b *testing.B, command string) string {
	b.Helper()
	var out, errs bytes.Buffer
	code := run(b.Context(), []string{command}, &out, &errs)
	// beside other lanes a node may take more than the second that it has to say its name
	for range 3 {
		if code == 0 || command != "repair" {
			break
		}
		code = run(b.Context(), []string{command}, &out, &errs)
	}
	if code != 0 {
		b.Errorf("%s: exit code %d: %s%s", command, code, &out, &errs)
	}
	return out.String()
}

// With so many nodes on the host; all have lost their names, each time, when repair begins: it is a
// new epmd. (One or the other has it again by the timer of 2 s that OTP's nodes have for that, from
// some rounds before.)
func BenchmarkNodes(b *testing.B) {
	h := onHost(b)
	lose := func() {
		testenv.Kill(b, h.port)
		time.Sleep(300 * time.Millisecond) // the nodes note it
		call(b, "ensure")
	}
	var nodes []*exec.Cmd
	for _, n := range []int{1, 10, 50} {
		nodes = h.more(nodes, n)
		b.Run(fmt.Sprint("doctor=", n), func(b *testing.B) {
			for b.Loop() {
				if said := call(b, "doctor"); !strings.Contains(said, fmt.Sprint(n, " name")) {
					b.Fatal(said)
				}
			}
		})
		lose()
		call(b, "repair") // for the first one, a node loads code: some 10 ms
		b.Run(fmt.Sprint("repair=", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				lose()
				b.StartTimer()
				call(b, "repair")
				b.StopTimer()
				if names := call(b, "names"); strings.Count(names, " alive\n") != n {
					b.Fatal(names)
				}
				b.StartTimer()
			}
		})
	}
}
