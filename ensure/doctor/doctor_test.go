package doctor

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdtest"
	"github.com/beamrun/beamrun/internal/shell"
)

// The checks of every system, of an epmd in Go that has a name: cmd/beamrun has those of a real
// one, with problems planted.
func TestExamine(t *testing.T) {
	server := epmdtest.New(t)
	server.Register("alice", server.Port())
	checks := Examine(t.Context(), Config{Epmd: ensure.Config{Port: server.Port()}})
	answers := func(c Check) bool { return c.Name == "epmd answers" }
	i := slices.IndexFunc(checks, answers)
	if i < 0 || checks[i].Status != OK {
		t.Errorf("%+v", checks)
	}
	server.Close()
	checks = Examine(t.Context(), Config{Epmd: ensure.Config{Port: server.Port()}})
	if i = slices.IndexFunc(checks, answers); i < 0 || checks[i].Status != Fail {
		t.Errorf("after its end: %+v", checks)
	}
	for _, c := range checks {
		if c.Name == "" || c.Evidence == "" || c.Status == OK && c.Command != "" {
			t.Errorf("%+v", c)
		}
	}
	if Worst(checks) != Fail {
		t.Errorf("the worst is %s", Worst(checks))
	}
}

// Without epmd none is asked, and no check is about one.
func TestExamineEpmdless(t *testing.T) {
	server := epmdtest.New(t)
	server.SetFaults(epmdtest.RefuseAfter(1))
	t.Setenv("ERL_EPMD_PORT", strconv.Itoa(int(server.Port())))
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", "")
	made := Examine(t.Context(), Config{Epmdless: true})
	for _, c := range made {
		i := slices.IndexFunc(checks, func(o check) bool { return o.name == c.Name })
		// those that ended are of other tests, and of a machine where the first process does not
		// wait for them
		if checks[i].of == ofEpmd ||
			c.Name != "defunct epmds" && strings.Contains(c.Evidence, "epmd ") {
			t.Errorf("%+v", c)
		}
	}
	for _, name := range []string{"host name", "cookie", "home", "state folder"} {
		if !slices.ContainsFunc(made, func(c Check) bool { return c.Name == name }) {
			t.Errorf("%s is not in %+v", name, made)
		}
	}
	if _, err := epmd.Names(t.Context(), server.Addr()); err != nil {
		t.Errorf("epmd was asked: %v", err)
	}
}

func TestMerged(t *testing.T) {
	got := merged([]Check{
		found(Warn, "a").run(shell.New("b")),
		found(Fail, "c").advise("d"),
		found(Warn, "e").run(shell.New("f")),
	})
	want := Check{Status: Fail, Evidence: "a; c; e", Command: "b; f", Advice: "d"}
	if got != want {
		t.Errorf("%+v", got)
	}
}

func TestWorst(t *testing.T) {
	for want, statuses := range map[Status][]Status{
		OK: {OK, OK}, Warn: {OK, Warn, OK}, Fail: {Fail, Warn},
	} {
		var checks []Check
		for _, s := range statuses {
			checks = append(checks, Check{Status: s})
		}
		if got := Worst(checks); got != want {
			t.Errorf("%q: %s", statuses, got)
		}
	}
	if got := Worst(nil); got != OK {
		t.Errorf("of none: %s", got)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 seconds", time.Second: "1 second", 90 * time.Second: "1 minute",
		3 * time.Hour: "3 hours", 47 * time.Hour: "47 hours", 72 * time.Hour: "3 days",
	} {
		if got := age(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}
