package main

import (
	"fmt"
	"os"
)

// attacks are what a hostile neighbour does, by name: the test binary plays them, under the name
// "attack", as other users may run it.
var attacks = map[string]func(args []string) error{}

func attackMain() {
	if len(os.Args) < 2 || attacks[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "attack: no such attack")
		os.Exit(2)
	}
	if err := attacks[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
}

func init() { testCommands["attack"] = attackMain }
