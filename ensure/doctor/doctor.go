// Package doctor says what is wrong with the epmd and the nodes of this host, and what mends it.
//
//	for _, c := range doctor.Examine(ctx, ensure.Config{}) {
//		fmt.Println(c.Status, c.Name, c.Evidence, c.Command)
//	}
//
// It starts nothing, registers nothing and tells no node anything: it asks epmd for its names, the system about processes and
// sockets, and the nodes whose port epmd does not have for their names, see package orphan. It makes the folder of
// [ensure.StateDir], if that is missing. Most is known on Linux only; a check that nobody can make is left out.
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

// Check is one thing that was looked at.
type Check struct {
	Name     string `json:"name"`
	Status   Status `json:"status"`
	Evidence string `json:"evidence"`          // what was seen; never a cookie
	Command  string `json:"command,omitempty"` // mends it, in a shell of the same user and environment
	Advice   string `json:"advice,omitempty"`  // where no command does, or not for good
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

// checks are all checks, in the order in which they are shown. One that can't be made returns no Status.
var checks = []struct {
	name string
	run  func(*patient, context.Context) Check
}{
	{"epmd program", (*patient).program},
	{"epmd answers", (*patient).answers},
	{"epmd process", (*patient).process},
	{"addresses", (*patient).addresses},
	{"other epmds", (*patient).others},
	{"lifetime", (*patient).lifetime},
	{"systemd units", (*patient).units},
	{"names", (*patient).registered},
	{"lost nodes", (*patient).lost},
	{"host name", (*patient).hostName},
	{"cookie", (*patient).cookie},
	{"cookies in ps", (*patient).cookiesInPS},
	{"environment", (*patient).environment},
	{"home", (*patient).home},
	{"state folder", (*patient).stateFolder},
}

// Examine makes all checks.
func Examine(ctx context.Context, c ensure.Config) []Check {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, Timeout)
		defer cancel()
	}
	p := admit(ctx, c)
	made := make([]Check, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() {
			made[i] = check.run(p, ctx)
			made[i].Name = check.name
		})
	}
	wg.Wait()
	return slices.DeleteFunc(made, func(c Check) bool { return c.Status == "" })
}
