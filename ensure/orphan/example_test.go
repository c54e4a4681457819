package orphan_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/orphan"
)

// After epmd was started anew, the nodes that run register again, each with its own cookie.
func ExampleNode_RegisterItself() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	res, err := ensure.Epmd(ctx, ensure.Config{})
	if err != nil {
		log.Fatal(err)
	}
	nodes, unseen, err := orphan.Find(ctx, res.Address)
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range nodes {
		if !n.Lost() {
			continue
		}
		if err := n.RegisterItself(ctx, res.Address); err != nil {
			log.Print(err)
		}
	}
	fmt.Println(unseen, "VMs could not be looked at")
}
