package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/beamrun/beamrun/ensure/doctor"
	"github.com/beamrun/beamrun/internal/safepath"
)

// doctor is `beamrun doctor`. A warning alone is no failure.
func (a *app) doctor(ctx context.Context, args []string) error {
	if err := noArgs("doctor", args); err != nil {
		return err
	}
	// Package time reads the file that TZ names, which may be another user's, or a pipe.
	tz := strings.TrimPrefix(os.Getenv("TZ"), ":")
	if os.Geteuid() == 0 && (strings.Contains(tz, "..") ||
		strings.HasPrefix(tz, "/") && safepath.Check(tz, 0) != nil) {
		os.Unsetenv("TZ")
	}
	c := doctor.Config{Epmd: a.epmd(), Epmdless: a.epmdless, Timeout: a.timeout}
	checks := doctor.Examine(ctx, c)
	worst := doctor.Worst(checks)
	if a.json {
		a.printJSON(struct {
			Status doctor.Status  `json:"status"`
			Checks []doctor.Check `json:"checks"`
		}{worst, checks})
	} else {
		a.sayChecks(checks)
	}
	if worst == doctor.Fail {
		return &printedError{exitFailed}
	}
	return nil
}

// The columns of a check: its status, its name, and the evidence. Further lines of that stand below
// the first.
const (
	statusWidth = 6
	nameWidth   = 15
)

// colour returns the escape that gives a terminal the colour of a status.
func colour(s doctor.Status) string {
	switch s {
	case doctor.OK:
		return "\x1b[32m"
	case doctor.Warn:
		return "\x1b[33m"
	}
	return "\x1b[31m"
}

// sayChecks shows the checks, with -q only those that are not ok; on a terminal in colours, wrapped
// to its width.
func (a *app) sayChecks(checks []doctor.Check) {
	width, colours := a.terminal()
	counts := map[doctor.Status]int{}
	var b strings.Builder
	for _, c := range checks {
		counts[c.Status]++
		if a.quiet && c.Status == doctor.OK {
			continue
		}
		indent := strings.Repeat(" ", statusWidth+nameWidth)
		status := fmt.Sprintf("%-*s", statusWidth, c.Status)
		if colours {
			status = colour(c.Status) + status + "\x1b[0m"
		}
		fmt.Fprintf(&b, "%s%-*s%s\n", status, nameWidth, c.Name,
			wrapped(clean(c.Evidence), width, indent))
		if c.Command != "" {
			fmt.Fprintf(&b, "%s$ %s\n", indent, clean(c.Command)) // in one piece, to be copied
		}
		if c.Advice != "" {
			fmt.Fprintf(&b, "%s%s\n", indent, wrapped(clean(c.Advice), width, indent))
		}
	}
	if !a.quiet {
		fmt.Fprintf(&b, "%d ok, %d warn, %d fail\n",
			counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
	}
	fmt.Fprint(a.stdout, b.String())
}

// terminal returns the width of the terminal that stdout is, 0 if it is none, and whether it is to
// be coloured (https://no-color.org).
func (a *app) terminal() (width int, colours bool) {
	f, ok := a.stdout.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, _ = term.GetSize(int(f.Fd()))
	return width, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// wrapped breaks a text at spaces, so that with the indent each line fits the width; 0: it is left
// in one. No line begins as a command does: a neighbour may have put the $ where a line ends.
func wrapped(text string, width int, indent string) string {
	if strings.HasPrefix(text, "$ ") {
		text = `\` + text
	}
	room := width - len(indent)
	if room < 20 { // that would be no better
		return text
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > room {
			lines, line = append(lines, line), ""
		}
		switch {
		case line != "":
			line += " "
		case word[0] == '$':
			word = `\` + word
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n"+indent)
}
