package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdless"
)

// fewNames is up to how many names the list has pids without being asked: they take a look into
// every process of the host, whose time grows with both, and the list itself is to be no slower
// than that of epmd -names.
const fewNames = 100

// names is `beamrun names [NODE]`. It starts no epmd, and with --epmdless asks none.
func (a *app) names(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return &usageError{"names takes one node at most", "beamrun help names"}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(a.timeout, ensure.DefaultTimeout))
	defer cancel()
	if len(args) > 0 {
		if err := a.refuseOtherHost(ctx, args[0]); err != nil {
			return err
		}
	}
	var all, without []heldName
	var err, dirErr error
	var addr netip.AddrPort
	var files sync.WaitGroup
	files.Go(func() { without, dirErr = a.namesByFile(ctx) }) // meanwhile
	where := "epmdless"
	if !a.epmdless {
		all, addr, err = a.askNames(ctx)
		where = "epmd: " + addr.String()
	}
	files.Wait()
	if a.epmdless { // else: where no directory can be had, nobody is registered in one
		err = dirErr
	} else if err != nil && !isDown(err) {
		return err
	}
	if dirErr != nil && (len(without) > 0 || a.epmdless && len(all) > 0) {
		a.say("warning: %v", dirErr) // not all of them could be looked at
	}
	ofEpmd := len(all)
	all = append(all, without...)
	if len(args) == 0 {
		if err != nil && len(all) == 0 {
			return err
		}
		return a.printNames(ctx, all, ofEpmd)
	}
	// both have the nodes of the host by the part before the @
	name, _, _ := strings.Cut(args[0], "@")
	isIt := func(n heldName) bool { return n.Name == name }
	i := slices.IndexFunc(all, isIt)
	switch {
	case i < 0 && err != nil:
		return err
	case i < 0:
		return fmt.Errorf("node %s: %s: %w", printable(name), where, epmd.ErrNotRegistered)
	case slices.ContainsFunc(all[i+1:max(i+1, ofEpmd)], isIt):
		// only one of them is so: another name holds a line end, and looks like two entries
		info, err := epmd.Lookup(ctx, addr, name)
		if err != nil {
			return fmt.Errorf("node %s: %w", printable(name), err)
		}
		i = max(i, slices.IndexFunc(all, func(n heldName) bool {
			return n.Name == name && n.Port == info.Port
		}))
		all[i].Port = info.Port
	}
	if a.json {
		findHolders(ctx, all[i:i+1])
		return a.printJSON(nameJSON(all[i], i >= ofEpmd))
	}
	_, err = fmt.Fprintln(a.stdout, all[i].Port)
	return err
}

// namesByFile are those of this user's nodes that do without epmd.
func (a *app) namesByFile(ctx context.Context) ([]heldName, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(a.timeout, ensure.DefaultTimeout))
	defer cancel()
	nodes, _, err := epmdless.Nodes(ctx)
	names := make([]heldName, len(nodes))
	for i, n := range nodes {
		node := epmd.Node{Name: n.Name, Port: n.Addr.Port()}
		names[i] = heldName{Node: node, Known: true, Alive: true, PID: n.PID}
	}
	return names, err
}

// askNames asks at once, and only when that fails what is wrong.
func (a *app) askNames(ctx context.Context) ([]heldName, netip.AddrPort, error) {
	timeout := cmp.Or(a.timeout, ensure.DefaultTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	e, err := a.epmd().Resolve()
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	// what is left is enough for the probe to see that it is hung
	if addr, err := netip.ParseAddrPort(e.String()); err == nil {
		soon, cancel := context.WithTimeout(ctx, min(timeout/3, time.Second))
		all, err := heldNames(soon, addr)
		cancel()
		if err == nil {
			return all, addr, nil
		}
	}
	res, err := ensure.Probe(ctx, a.epmd())
	if err != nil {
		return nil, res.Address, err
	}
	all, err := heldNames(ctx, res.Address)
	return all, res.Address, err
}

// printNames prints them all, of which the first are epmd's.
func (a *app) printNames(ctx context.Context, all []heldName, ofEpmd int) error {
	if a.json || a.verbose || len(all) <= fewNames {
		findHolders(ctx, all)
	}
	out := bufio.NewWriterSize(a.stdout, 1<<15)
	write := columns
	if a.json {
		write = namesJSON
	}
	if err := write(out, all, ofEpmd); err != nil {
		return err
	}
	return out.Flush()
}

// maxColumn is up to which width, in characters, a column is padded: a reply may hold 65,535 names,
// and one long name must not make every row that wide.
const maxColumn = 64

// columns writes name, port, pid, program, alive or stale, as far as they are known, and "epmdless"
// behind the first. Rows are made one at a time, twice: to keep all of them takes far more memory
// than the names.
func columns(w io.Writer, all []heldName, ofEpmd int) error {
	var widths [6]int
	for i := range all {
		for c, s := range row(&all[i], i >= ofEpmd) {
			widths[c] = max(widths[c], min(maxColumn, utf8.RuneCountInString(s)))
		}
	}
	var line []byte
	for i := range all {
		line = line[:0]
		for c, s := range row(&all[i], i >= ofEpmd) {
			if widths[c] == 0 { // nobody's is known
				continue
			}
			line = append(line, s...)
			for range max(1, widths[c]+1-utf8.RuneCountInString(s)) {
				line = append(line, ' ')
			}
		}
		if _, err := w.Write(append(bytes.TrimRight(line, " "), '\n')); err != nil {
			return err
		}
	}
	return nil
}

func row(n *heldName, epmdless bool) (row [6]string) {
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
	if epmdless {
		row[5] = "epmdless"
	}
	return row
}

// namesJSON writes one object, one node after the other: encoding/json alone would hold the whole
// of it.
func namesJSON(w io.Writer, all []heldName, ofEpmd int) error {
	begin := `{"nodes":[`
	for i := range all {
		one, err := jsonText(nameJSON(all[i], i >= ofEpmd))
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s%s", begin, bytes.TrimSuffix(one, []byte("\n")))
		if err != nil {
			return err
		}
		begin = ","
	}
	if len(all) == 0 {
		io.WriteString(w, begin)
	}
	_, err := io.WriteString(w, "]}\n")
	return err
}

func nameJSON(n heldName, epmdless bool) any {
	j := struct {
		epmd.Node
		PID     int    `json:"pid,omitempty"`
		Program string `json:"program,omitempty"`
		Alive   *bool  `json:"alive,omitempty"`

		Epmdless bool `json:"epmdless,omitempty"`
	}{Node: n.Node, PID: n.PID, Program: n.Program, Epmdless: epmdless}
	if n.Known {
		j.Alive = &n.Alive
	}
	return j
}
