package main

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Whoever looks on is told once, after a second, what is waited for.
func TestWaiting(t *testing.T) {
	said := func(h *faultHost, args ...string) string {
		t.Helper()
		beamrun, err := h.beamrun()
		h.must(err)
		term := onTerminal(t, h.wrap(beamrun, append(append([]string{"--timeout", "1500ms"}, h.args...), args...)...))
		for out := range term.output {
			term.screen += out
		}
		return term.screen
	}
	const line = "beamrun: waiting for epmd on 127.0.0.1:PORT (up to 1.5s)\r\n"
	for _, tt := range []struct {
		args string
		want int
	}{
		{"ensure", 1}, {"true", 1}, {"-v true", 1}, {"--watch true", 1},
		{"-q ensure", 0}, {"-q true", 0}, {"--json ensure", 0}, {"--json true", 0}, {"--timeout 900ms true", 0},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			h := newFaultHost(t)
			h.program("sleep 60 & sleep 60")
			got := said(h, strings.Fields(tt.args)...)
			if n := strings.Count(h.portless(got), line); n != tt.want || strings.Count(got, "waiting") != tt.want {
				t.Errorf("%d times: %s", n, got)
			}
		})
	}
	t.Run("while it is asked", func(t *testing.T) {
		t.Parallel()
		for _, args := range [][]string{{"ensure"}, {"true"}} {
			h := newFaultHost(t)
			syscall.Kill(h.epmd(), syscall.SIGSTOP)
			if got := said(h, args...); strings.Count(h.portless(got), line) != 1 || strings.Count(got, "waiting") != 1 {
				t.Errorf("%q: %s", args, got)
			}
		}
	})
	t.Run("no terminal", func(t *testing.T) {
		t.Parallel()
		h := newFaultHost(t)
		h.program("sleep 60 & sleep 60")
		beamrun, err := h.beamrun()
		h.must(err)
		out, _ := h.wrap(beamrun, append(h.args, "--timeout", "1500ms", "ensure")...).CombinedOutput()
		if strings.Contains(string(out), "waiting") {
			t.Errorf("%s", out)
		}
	})
}

// portless has PORT in the place of the host's port.
func (h *faultHost) portless(s string) string {
	return strings.ReplaceAll(s, strings.TrimPrefix(h.addr(), "127.0.0.1:"), "PORT")
}

// The beamrun that starts a launch's epmd has the time that is left to the launch.
func TestOneDeadline(t *testing.T) {
	h := newFaultHost(t)
	args := h.dir + "/args"
	h.program(`tr '\0' ' ' </proc/$PPID/cmdline >` + args + `; exit 1`)
	beamrun, err := h.beamrun()
	h.must(err)
	for _, flags := range [][]string{nil, {"--timeout", "5s"}, {"--timeout=5s", "--"}} {
		out, _ := h.wrap(beamrun, append(append(h.args, flags...), "true")...).CombinedOutput()
		text, _ := os.ReadFile(args)
		m := regexp.MustCompile(`--json --timeout=(\S+) ensure $`).FindSubmatch(text)
		if m == nil {
			t.Fatalf("%q: %q, %s", flags, text, out)
		}
		limit := 5 * time.Second
		if flags == nil {
			limit = 10 * time.Second
		}
		if left, err := time.ParseDuration(string(m[1])); err != nil || left >= limit || left < limit-2*time.Second {
			t.Errorf("%q: %s, %v", flags, m[1], err)
		}
		if want := ": spawn: it ended with status 1 and printed nothing\n"; !strings.HasSuffix(string(out), want) {
			t.Errorf("%q: %s", flags, out)
		}
	}
}
