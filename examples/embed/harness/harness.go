// Package harness starts Erlang nodes for Go tests: connected to each other, and apart from all
// others of the host.
package harness

import (
	"bufio"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/launcher"
)

// connect returns when the node is connected to all. Each of them has the new cookie some
// milliseconds after others can find it, and refuses who comes earlier; so it asks until it is let
// in.
const connect = `Ask = fun Ask(N) ->
		net_adm:ping(N) =:= pong orelse begin timer:sleep(10), Ask(N) end
	end,
	[Ask(list_to_atom(N)) || N <- string:lexemes(os:getenv("NODES"), " ")],
	io:format("~nconnected~n")`

// Start starts an epmd on that port and nodes of those names at localhost, with a new cookie, and
// returns when each is connected to all others. They end with the test, and so does epmd.
func Start(t testing.TB, port uint16, names ...string) {
	t.Helper()
	epmd, err := ensure.Epmd(t.Context(), ensure.Config{Port: port, Local: true})
	if err != nil || !epmd.Started {
		t.Fatalf("an epmd on port %d: there is one already, or %v", port, err)
	}
	t.Cleanup(func() {
		if p, err := os.FindProcess(epmd.PID); err == nil {
			p.Kill() // package ensure waits for it
		}
	})
	// nodes boot with it, and Erlang would make a guessable one
	if _, err := cookie.User.Cookie(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	secret := cookie.New()
	nodes := strings.Join(names, "@localhost ") + "@localhost"
	var connected []func() bool
	for _, name := range names {
		cmd, err := launcher.Command(ctx, launcher.Config{
			Program:  "erl",
			Args:     []string{"-noinput", "-sname", name + "@localhost", "-eval", connect},
			Env:      append(os.Environ(), "NODES="+nodes),
			Endpoint: epmd.Endpoint,
			Local:    true,
			Cookie:   secret,
		})
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout = nil // for a pipe instead
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		connected = append(connected, func() bool {
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "connected" {
			}
			return lines.Text() == "connected"
		})
	}
	for i, name := range names {
		if !connected[i]() {
			t.Fatalf("node %s ended, or is not connected in time", name)
		}
	}
}
