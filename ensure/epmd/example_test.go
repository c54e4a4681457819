package epmd_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"

	"github.com/beamrun/beamrun/ensure/epmd"
)

func ExampleNames() {
	addr := netip.MustParseAddrPort("127.0.0.1:4369")
	nodes, err := epmd.Names(context.Background(), addr)
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range nodes {
		fmt.Println(n.Name, n.Port)
	}
}

func ExampleLookup() {
	addr := netip.MustParseAddrPort("127.0.0.1:4369")
	info, err := epmd.Lookup(context.Background(), addr, "host")
	switch {
	case errors.Is(err, epmd.ErrNotRegistered):
		fmt.Println("no such node")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println("it listens on port", info.Port)
	}
}
