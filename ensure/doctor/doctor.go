// Package doctor finds out what is wrong with the epmd and the nodes of this host, and what fixes
// it.
//
// It starts nothing, registers nothing and changes no node: it asks epmd for its names, the system
// for processes and sockets, and the nodes whose port epmd does not have for their names, see
// package orphan. It makes the directories of package ensure and of [epmdless.Dir] if they are
// missing, and removes files of dead nodes from the latter. Most is known on Linux only; a check
// that cannot be made is left out.
//
// What it shows are commands of the program beamrun, and flags of those.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/beamrun/beamrun/ensure"
)

// DefaultTimeout bounds a call of [Examine] whose Config has no Timeout.
const DefaultTimeout = 5 * time.Second

// Status is what a check found.
type Status string

const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, and will not for long or not for all
	Fail Status = "fail" // it does not work
)

// Check is one thing that was looked at. Its command is the fix, for a shell of the same user and
// environment. It ends no process that is in use, and cuts no node off that runs: a fix that would
// is in the advice.
type Check struct {
	Name     string `json:"name"`
	Status   Status `json:"status"`
	Evidence string `json:"evidence"` // what was seen, in one line; never a cookie
	Command  string `json:"command,omitempty"`
	Advice   string `json:"advice,omitempty"` // where no command does it, or not for good
}

// Worst is the worst status of all: OK, Warn or Fail.
func Worst(checks []Check) Status {
	order := []Status{OK, Warn, Fail}
	worst := 0
	for _, c := range checks {
		worst = max(worst, slices.Index(order, c.Status))
	}
	return order[worst]
}

type check struct {
	name string
	run  func(*host, context.Context) Check
	of   part
}

// checks are all checks, in the order in which they are shown. One that cannot be made returns no
// Status.
var checks = []check{
	{"epmd program", (*host).program, ofEpmd},
	{"epmd answers", (*host).answers, ofEpmd},
	{"epmd process", (*host).process, ofEpmd},
	{"addresses", (*host).addresses, ofEpmd},
	{"other epmds", (*host).others, ofEpmd},
	{"defunct epmds", (*host).defunct, ofHost},
	{"lifetime", (*host).lifetime, ofEpmd},
	{"systemd units", (*host).units, ofEpmd},
	{"names", (*host).registered, ofEpmd},
	{"lost nodes", (*host).lost, ofEpmd},
	{"epmdless nodes", (*host).epmdlessNodes, ofHost},
	{"host name", (*host).hostName, ofHost},
	{"cookie", (*host).cookie, ofHost},
	{"cookies in ps", (*host).cookiesInPS, ofHost},
	{"environment", (*host).environment, ofEpmd},
	{"epmd module", (*host).epmdModule, ofHost},
	{"home", (*host).home, ofHost},
	{"state folder", (*host).stateDir, ofHost},
}

// part is the part of the host that a check is about.
type part bool

const (
	ofEpmd part = true
	ofHost part = false // also where there is no epmd
)

// Config is what to examine. Its zero value means the epmd of this environment.
type Config struct {
	// Epmd is the epmd that is meant, as for [ensure.Probe].
	Epmd ensure.Config

	// Epmdless is for a host without epmd, see package epmdless. None is asked then, and no check
	// is about one.
	Epmdless bool

	// Timeout bounds the whole examination; an earlier deadline of the context wins. 0:
	// [DefaultTimeout].
	Timeout time.Duration
}

// Examine makes all checks. It returns those that could be made.
func Examine(ctx context.Context, c Config) []Check {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, DefaultTimeout))
	defer cancel()
	return look(ctx, c).examine(ctx)
}

func (h *host) examine(ctx context.Context) []Check {
	made := make([]Check, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		if h.epmdless && check.of == ofEpmd {
			continue
		}
		wg.Go(func() {
			made[i] = check.run(h, ctx)
			made[i].Name = check.name
		})
	}
	wg.Wait()
	return slices.DeleteFunc(made, func(c Check) bool { return c.Status == "" })
}
