package main

import (
	"fmt"
	"strings"

	"github.com/beamrun/beamrun/ensure"
)

// watch is --watch: what keeps epmd alive while the program runs.
func (a *app) watch() *ensure.Watch {
	w := &ensure.Watch{Config: a.epmd()}
	if !a.quiet {
		w.Notify = a.sayEvent
	}
	return w
}

func (a *app) sayEvent(e ensure.Event) {
	a.sayWarnings(e.Result.Warnings)
	switch {
	case e.Err != nil:
		r, _ := describe(e.Err)
		a.sayReport(r)
	case len(e.Lost) > 0:
		var nodes []string
		for _, n := range e.Lost {
			nodes = append(nodes, fmt.Sprintf("%s (port %d)", n.Name, n.Port))
		}
		a.sayReport(report{
			Message: "nodes that run and that epmd no longer knows: " + strings.Join(nodes, ", "),
			Hint:    "OTP before 23.3 does not register again by itself; start them anew"})
	case e.Result.Started:
		a.say("epmd was gone; %s", ensureLine(e.Result))
	default:
		a.say("epmd on %s: answers again", e.Result.Address)
	}
}
