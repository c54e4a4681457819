package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
)

// names is `beamrun names [NODE]`. It starts no epmd.
func (a *app) names(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return &usageError{"names takes one node at most", "beamrun help names"}
	}
	if a.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, a.timeout)
		defer cancel()
	}
	res, err := ensure.Probe(ctx, a.epmd())
	if err != nil {
		return err
	}
	if len(args) == 1 {
		name, _, _ := strings.Cut(args[0], "@") // epmd knows the nodes of its host by the part before the @
		info, err := epmd.Lookup(ctx, res.Address.String(), name)
		if err != nil {
			return fmt.Errorf("node %s: %w", printable(name), err)
		}
		if a.json {
			return a.printJSON(epmd.Node{Name: name, Port: info.Port})
		}
		_, err = fmt.Fprintln(a.stdout, info.Port)
		return err
	}

	nodes, err := epmd.Names(ctx, res.Address.String())
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string][]epmd.Node{"nodes": nodes})
	}
	var out strings.Builder
	for _, n := range nodes {
		fmt.Fprintln(&out, printable(n.Name), n.Port)
	}
	_, err = fmt.Fprint(a.stdout, out.String())
	return err
}
