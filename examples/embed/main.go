// Command embed is a launcher written in Go: it makes sure that epmd answers and then runs a node.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/launcher"
)

func main() {
	ctx := context.Background()
	res, err := ensure.Epmd(ctx, ensure.Config{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("epmd started here:", res.Started)
	if _, err := cookie.User.Cookie(); err != nil { // a strong one, before Erlang makes a weak one
		log.Fatal(err)
	}
	code, err := launcher.Run(ctx, launcher.Config{
		Program: "erl",
		Args: []string{"-noinput", "-sname", "embedded",
			"-eval", `io:format("~s is up~n", [node()]), halt().`},
		Endpoint: res.Endpoint,
	}, launcher.Child{})
	if err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}
