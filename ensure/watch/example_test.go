package watch_test

import (
	"context"
	"log"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/watch"
	"github.com/beamrun/beamrun/launcher"
)

// A launcher keeps epmd alive for as long as its node runs.
func ExampleRun() {
	c := launcher.Config{Program: "iex", Args: []string{"--sname", "host"}}
	_, err := launcher.Run(context.Background(), c, launcher.Child{
		Forward: true,
		While: func(ctx context.Context) {
			watch.Run(ctx, ensure.Config{}, func(e watch.Event) {
				switch e.Kind {
				case watch.KindUp:
					log.Printf("epmd answers again on %v", e.Result.Address)
				case watch.KindFailed:
					log.Print(e.Err)
				case watch.KindLost:
					log.Print("nodes had lost their names: ", e.Lost)
				}
			})
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}
