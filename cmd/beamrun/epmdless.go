package main

import (
	"fmt"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmdless"
)

// checkEpmdless finds flags for a program that say nothing together.
func (a *app) checkEpmdless() error {
	const hint = "beamrun --epmdless --peer app@other.example.org=9100" +
		" erl -name app@this.example.org"
	hasPeers := len(a.peers) > 0 || a.peerFile != ""
	switch {
	case hasPeers && !a.epmdless:
		return &usageError{"--peer and --peers are for --epmdless", hint}
	case hasPeers && a.distPort.IsOne():
		return &usageError{
			fmt.Sprintf("with --epmdless --dist-port %d all peers have that port",
				a.distPort.First),
			"leave out --peer and --peers, or the port: " + hint,
		}
	case a.epmdless && a.wantWatch:
		return &usageError{
			"--watch keeps epmd alive, and --epmdless needs none",
			"beamrun --epmdless iex --sname host",
		}
	}
	return nil
}

// checkCommand finds an --epmdless that this command has no use for.
func (a *app) checkCommand(name string) error {
	if a.epmdless && (name == "ensure" || name == "stop" || name == "repair") {
		return &usageError{
			name + " is about epmd, and --epmdless needs none", "beamrun help " + name,
		}
	}
	return nil
}

// withoutEpmd returns the epmd that the program is told of, where one was asked for: nodes
// elsewhere may be found by it.
func (a *app) withoutEpmd() (e ensure.Endpoint, err error) {
	if a.verbose && a.distPort.IsOne() {
		a.say("no epmd: all nodes are on port %d", a.distPort.First)
	} else if a.verbose {
		dir, err := epmdless.Dir()
		if err != nil {
			return e, err
		}
		a.say("no epmd: nodes are found by their files in %s", dir)
	}
	if a.port != 0 || len(a.address) > 0 {
		return a.epmd().Resolve()
	}
	return e, nil
}
