package doctor_test

import (
	"context"
	"fmt"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/doctor"
)

// This shows what is wrong with the epmd on port 4370 and the nodes of this host.
func ExampleExamine() {
	checks := doctor.Examine(context.Background(), doctor.Config{
		Epmd:    ensure.Config{Port: 4370},
		Timeout: 2 * time.Second,
	})
	for _, c := range checks {
		if c.Status != doctor.OK {
			fmt.Println(c.Status, c.Name, c.Evidence)
			fmt.Println(c.Command, c.Advice)
		}
	}
	fmt.Println("all in all:", doctor.Worst(checks))
}

// A host that has no epmd on purpose, see package epmdless, is asked for none.
func ExampleExamine_epmdless() {
	for _, c := range doctor.Examine(context.Background(), doctor.Config{Epmdless: true}) {
		fmt.Println(c.Status, c.Name, c.Evidence)
	}
}
