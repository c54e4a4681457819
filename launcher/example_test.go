package launcher_test

import (
	"context"
	"errors"
	"log"
	"os"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/launcher"
)

// The node has a cookie of its own, which no argument list shows.
func ExampleRun() {
	code, err := launcher.Run(context.Background(), launcher.Config{
		Program: "elixir",
		Args:    []string{"--sname", "host", "-e", "IO.inspect(Node.self())"},
		Cookie:  cookie.New(),
	}, launcher.Child{})
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}

// This process becomes iex, where the system can do that.
func ExampleExec() {
	c := launcher.Config{Program: "iex", Args: []string{"--sname", "host"}}
	err := launcher.Exec(c)
	if !errors.Is(err, errors.ErrUnsupported) {
		log.Fatal(err)
	}
	code, err := launcher.Run(context.Background(), c, launcher.Child{Forward: true})
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}
