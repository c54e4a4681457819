package ensure_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"time"

	"github.com/beamrun/beamrun/ensure"
)

// A launcher makes sure of epmd and then starts a node that uses it.
func ExampleEpmd() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	res, err := ensure.Epmd(ctx, ensure.Config{})
	if err != nil {
		log.Fatal(err) // with the cause, and what to do
	}
	for _, w := range res.Warnings {
		log.Print(w)
	}
	node := exec.Command("erl", "-noinput", "-sname", "host")
	node.Env = append(os.Environ(), res.Endpoint.Env()...)
}

// Probe starts nothing. The error's Kind is what to switch on.
func ExampleProbe() {
	_, err := ensure.Probe(context.Background(), ensure.Config{
		Port: 1, Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")},
	})
	var e *ensure.Error
	switch {
	case err == nil:
		fmt.Println("an epmd answers")
	case !errors.As(err, &e):
	case e.Kind == ensure.KindDown:
		fmt.Println("no epmd runs")
	case e.Kind == ensure.KindForeign:
		fmt.Println("another program has the port")
	default:
		fmt.Println(e.Message())
	}
	// Output: no epmd runs
}
