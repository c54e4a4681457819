package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/beamrun/beamrun/ensure"
)

// ensure is `beamrun ensure`.
func (a *app) ensure(ctx context.Context, args []string) error {
	if err := noArgs("ensure", args); err != nil {
		return err
	}
	a.beAloud()
	res, err := ensure.Epmd(ctx, a.epmd())
	return a.tell(&res, err)
}

// beAloud has the user know, where one looks on, that epmd takes long.
func (a *app) beAloud() {
	if !a.quiet && !a.json {
		a.waiting = a.sayWaiting
	}
}

// sayWaiting says on a terminal, once, what is waited for.
func (a *app) sayWaiting(e ensure.Endpoint) {
	if f, ok := a.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		a.waitingSaid.Do(func() {
			most := cmp.Or(a.timeout, ensure.DefaultTimeout)
			a.say("waiting for epmd on %v (up to %v)", e, most)
		})
	}
}

// tell shows what became of a call of ensure.
func (a *app) tell(res *ensure.Result, err error) error {
	if err != nil {
		a.untold = texts(res.Warnings)
		return err
	}
	if a.json {
		return a.printJSON(ensureJSON(res))
	}
	a.sayWarnings(texts(res.Warnings))
	if !a.quiet {
		_, err = a.stdout.Write([]byte(clean(ensureLine(res)) + "\n"))
	}
	return err
}

// sayWarnings shows what ensure could do without. With -q too: whoever wants no result has to know
// what will go wrong.
func (a *app) sayWarnings(warnings []string) {
	for _, w := range warnings {
		a.say("warning: %s", w)
	}
}

func ensureLine(res *ensure.Result) string {
	if !res.Started {
		return "epmd on " + res.Address.String() + ": already running"
	}
	var what []string
	if res.Unit != "" {
		what = append(what, res.Detach+" unit "+res.Unit)
	}
	if res.Program != "" {
		what = append(what, res.Program)
	}
	if res.PID != 0 {
		what = append(what, "pid "+strconv.Itoa(res.PID))
	}
	return "epmd on " + res.Address.String() + ": started " + strings.Join(what, ", ") +
		", in " + res.Elapsed.Round(100*time.Microsecond).String()
}

// ensured is what `beamrun --json ensure` prints.
type ensured struct {
	Epmd     ensuredEpmd `json:"epmd"`
	Warnings []string    `json:"warnings,omitempty"`
}

type ensuredEpmd struct {
	Address   string  `json:"address"`
	Port      uint16  `json:"port"`
	Started   bool    `json:"started"`
	PID       int     `json:"pid,omitempty"`
	Program   string  `json:"program,omitempty"`
	Detach    string  `json:"detach,omitempty"`
	Unit      string  `json:"unit,omitempty"`
	ElapsedMS float64 `json:"elapsed_ms"`
}

func ensureJSON(res *ensure.Result) ensured {
	return ensured{
		ensuredEpmd{
			res.Address.Addr().String(), res.Endpoint.Port, res.Started, res.PID, res.Program,
			res.Detach, res.Unit, float64(res.Elapsed.Microseconds()) / 1000,
		},
		texts(res.Warnings),
	}
}

// texts are what is shown of warnings.
func texts(warnings []ensure.Warning) (texts []string) {
	for _, w := range warnings {
		texts = append(texts, w.Message)
	}
	return texts
}

// result is the other way round, less the endpoint.
func (e *ensured) result() ensure.Result {
	addr, _ := netip.ParseAddr(e.Epmd.Address)
	var warnings []ensure.Warning
	for _, text := range e.Warnings {
		warnings = append(warnings, ensure.Warning{Message: text})
	}
	return ensure.Result{
		Address: netip.AddrPortFrom(addr, e.Epmd.Port), Started: e.Epmd.Started, PID: e.Epmd.PID,
		Program: e.Epmd.Program, Detach: e.Epmd.Detach, Unit: e.Epmd.Unit,
		Elapsed:  time.Duration(e.Epmd.ElapsedMS * float64(time.Millisecond)),
		Warnings: warnings,
	}
}

func noArgs(command string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{fmt.Sprintf("%s takes no argument, but %q is given", command, args[0]),
		"beamrun help " + command + "; to run a program of that name: beamrun -- " + command}
}
