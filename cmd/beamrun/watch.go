package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/beamrun/beamrun/ensure/watch"
	"github.com/beamrun/beamrun/launcher"
)

// watch is --watch: it keeps epmd alive while the program runs, for a release with its own epmd.
func (a *app) watch(ctx context.Context, program string) {
	c := a.epmd()
	c.ReleaseRoot = launcher.ReleaseRoot(program)
	watch.Run(ctx, c, a.sayEvent)
}

func (a *app) sayEvent(e watch.Event) {
	a.sayWarnings(texts(e.Result.Warnings))
	switch {
	case e.Kind == watch.KindFailed:
		r, _ := describe(e.Err)
		a.sayReport(r)
	case e.Kind == watch.KindLost:
		var back []string
		for _, n := range e.Lost {
			if n.Err == nil {
				back = append(back, fmt.Sprintf("%s (port %d)", printable(n.Name), n.Port))
			}
		}
		if len(back) > 0 && !a.quiet {
			a.say("nodes that had lost their names and have them again: %s",
				strings.Join(back, ", "))
		}
		for _, n := range e.Lost {
			if n.Err != nil {
				r, _ := describe(n.Err)
				r.Message = fmt.Sprintf("%s (port %d) runs, and epmd no longer knows it: %s",
					printable(n.Name), n.Port, r.Message)
				a.sayReport(r)
			}
		}
	case a.quiet:
	case e.Result.Started:
		a.say("epmd was gone; %s", ensureLine(&e.Result))
	default:
		a.say("epmd on %s: answers again", e.Result.Address)
	}
}
