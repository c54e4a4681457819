package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/orphan"
)

// fewNames is up to how many names the list has pids without being asked: they take a look into every process of the host,
// whose time grows with both, and the list itself is to be no slower than that of epmd -names.
const fewNames = 100

// names is `beamrun names [NODE]`. It starts no epmd.
func (a *app) names(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return &usageError{"names takes one node at most", "beamrun help names"}
	}
	all, addr, err := a.askNames(ctx)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return a.printNames(all)
	}
	name, _, _ := strings.Cut(args[0], "@") // epmd knows the nodes of its host by the part before the @
	i := slices.IndexFunc(all, func(n orphan.Name) bool { return n.Name == name })
	if i < 0 {
		return fmt.Errorf("node %s: epmd: %s: %w", printable(name), addr, epmd.ErrNotRegistered)
	}
	if a.json {
		orphan.Holders(all[i : i+1])
		return a.printJSON(nameJSON(all[i]))
	}
	_, err = fmt.Fprintln(a.stdout, all[i].Port)
	return err
}

// askNames asks at once, and only when that fails what is wrong.
func (a *app) askNames(ctx context.Context) ([]orphan.Name, netip.AddrPort, error) {
	timeout := cmp.Or(a.timeout, ensure.DefaultTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	e, err := a.epmd().Resolve()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	// what is left is enough for the probe to see that it is hung
	if addr, err := netip.ParseAddrPort(e.String()); err == nil {
		if all, err := orphan.Names(ctx, addr, min(timeout/3, time.Second)); err == nil {
			return all, addr, nil
		}
	}
	res, err := ensure.Probe(ctx, a.epmd())
	if err != nil {
		return nil, res.Address, err
	}
	all, err := orphan.Names(ctx, res.Address, timeout)
	return all, res.Address, err
}

func (a *app) printNames(all []orphan.Name) error {
	if a.json || a.verbose || len(all) <= fewNames {
		orphan.Holders(all)
	}
	if a.json {
		nodes := make([]any, len(all))
		for i, n := range all {
			nodes[i] = nameJSON(n)
		}
		return a.printJSON(map[string][]any{"nodes": nodes})
	}
	_, err := a.stdout.Write(columns(all))
	return err
}

// columns are name, port, pid, program, alive or stale, as far as they are known.
func columns(all []orphan.Name) []byte {
	rows, widths := make([][5]string, len(all)), [5]int{}
	for i, n := range all {
		row := &rows[i]
		row[0], row[1] = printable(n.Name), strconv.Itoa(int(n.Port))
		if n.PID != 0 {
			row[2], row[3] = strconv.Itoa(n.PID), printable(n.Program)
		}
		switch {
		case n.Alive:
			row[4] = "alive"
		case n.Known:
			row[4] = "stale"
		}
		for c, s := range row {
			widths[c] = max(widths[c], utf8.RuneCountInString(s))
		}
	}
	out := make([]byte, 0, 1<<15)
	for _, row := range rows {
		for c, s := range row {
			if widths[c] == 0 { // nobody's is known
				continue
			}
			out = append(out, s...)
			for range widths[c] + 1 - utf8.RuneCountInString(s) {
				out = append(out, ' ')
			}
		}
		out = append(bytes.TrimRight(out, " "), '\n')
	}
	return out
}

func nameJSON(n orphan.Name) any {
	j := struct {
		epmd.Node
		PID     int    `json:"pid,omitempty"`
		Program string `json:"program,omitempty"`
		Alive   *bool  `json:"alive,omitempty"`
	}{Node: n.Node, PID: n.PID, Program: n.Program}
	if n.Known {
		j.Alive = &n.Alive
	}
	return j
}
