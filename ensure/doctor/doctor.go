// Package doctor says what is wrong with the epmd and the nodes of this host, and what mends it.
//
//	for _, c := range doctor.Examine(ctx, ensure.Config{}) {
//		fmt.Println(c.Status, c.Name, c.Evidence, c.Command)
//	}
//
// Nodes can do without epmd, see package epmdless: [ExamineEpmdless] is for a host that has none on
// purpose.
//
// It starts nothing, registers nothing and tells no node anything: it asks epmd for its names, the
// system about processes and sockets, and the nodes whose port epmd does not have for their names,
// see package orphan. It makes the directories of package ensure and of [epmdless.Dir] if they are
// missing, and removes files of dead nodes from the latter. Most is known on Linux only; a check
// that nobody can make is left out.
package doctor

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/beamrun/beamrun/ensure"
)

// Timeout bounds an examination whose context has no deadline.
const Timeout = 5 * time.Second

// Status is what a check found.
type Status string

const (
	OK   Status = "ok"
	Warn Status = "warn" // it works, and will not for long or not for all
	Fail Status = "fail" // it does not work
)

// Check is one thing that was looked at. Its command ends no process that is in use, and cuts no
// node off that runs: a fix that would is in the advice.
type Check struct {
	Name     string `json:"name"`
	Status   Status `json:"status"`
	Evidence string `json:"evidence"`          // what was seen, in one line; never a cookie
	Command  string `json:"command,omitempty"` // the fix, for a shell of the same user and environment
	Advice   string `json:"advice,omitempty"`  // where no command does it, or not for good
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
	run  func(*patient, context.Context) Check
	of   part
}

// checks are all checks, in the order in which they are shown. One that can't be made returns no
// Status.
var checks = []check{
	{"epmd program", (*patient).program, ofEpmd},
	{"epmd answers", (*patient).answers, ofEpmd},
	{"epmd process", (*patient).process, ofEpmd},
	{"addresses", (*patient).addresses, ofEpmd},
	{"other epmds", (*patient).others, ofEpmd},
	{"defunct epmds", (*patient).defunct, ofHost},
	{"lifetime", (*patient).lifetime, ofEpmd},
	{"systemd units", (*patient).units, ofEpmd},
	{"names", (*patient).registered, ofEpmd},
	{"lost nodes", (*patient).lost, ofEpmd},
	{"epmdless nodes", (*patient).epmdlessNodes, ofHost},
	{"host name", (*patient).hostName, ofHost},
	{"cookie", (*patient).cookie, ofHost},
	{"cookies in ps", (*patient).cookiesInPS, ofHost},
	{"environment", (*patient).environment, ofEpmd},
	{"epmd module", (*patient).epmdModule, ofHost},
	{"home", (*patient).home, ofHost},
	{"state folder", (*patient).stateFolder, ofHost},
}

// part is what a check is about.
type part bool

const (
	ofEpmd part = true
	ofHost part = false // also where there is no epmd
)

// Examine makes all checks.
func Examine(ctx context.Context, c ensure.Config) []Check {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	return admit(ctx, c).examine(ctx)
}

// ExamineEpmdless makes those that are not about epmd, and asks none.
func ExamineEpmdless(ctx context.Context) []Check {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	return admitEpmdless(ctx).examine(ctx)
}

func withTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, Timeout)
}

func (p *patient) examine(ctx context.Context) []Check {
	made := make([]Check, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		if p.epmdless && check.of == ofEpmd {
			continue
		}
		wg.Go(func() {
			made[i] = check.run(p, ctx)
			made[i].Name = check.name
		})
	}
	wg.Wait()
	return slices.DeleteFunc(made, func(c Check) bool { return c.Status == "" })
}
