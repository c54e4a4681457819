package main

import (
	"context"
	"fmt"
)

const usage = `beamrun makes sure that epmd answers, then becomes the program that you want.

Usage:
    beamrun [FLAGS] PROGRAM [ARG...]   ensure epmd, then become PROGRAM; "--" goes
                                       before PROGRAM if it shares a command's name
    beamrun ensure                     ensure epmd, say in one line what was done
    beamrun names [NODE]               nodes registered, whose they are, and which
                                       are stale (one: its port)
    beamrun doctor                     what is wrong here, and what mends it
    beamrun repair [NODE...]           give running nodes their lost names back
    beamrun stop                       end epmd, unless nodes are registered
    beamrun cookie [new|path|check|rotate]
                                       make a cookie; where the user's is; is it
                                       good (the default); replace it
    beamrun version
    beamrun help [COMMAND]

Flags stand before PROGRAM, and before or after a command:
    --port N            epmd's port (default: $ERL_EPMD_PORT, else PROGRAM's
                        own -epmd_port, else 4369)
    --address A[,A]     IP addresses that epmd listens on (default:
                        $ERL_EPMD_ADDRESS, else all)
    --epmd PATH         the epmd to start (default: the release's own, else the
                        one on PATH, beside erl, or in the usual directories)
    --detach WAY        auto (default): in a service of systemd, have systemd run
                        epmd, so that it outlives the service; session: never;
                        systemd: always
    --timeout D         how long to wait for epmd (default: 10s)
    --cookie SOURCE     user (default: ~/.erlang.cookie, made if missing), fresh,
                        file:PATH, env:NAME, derive:LABEL (from $BEAMRUN_SECRET)
    --watch             stay as PROGRAM's parent and keep epmd alive meanwhile
    --dist-port N[-M]   PROGRAM's nodes listen on port N, or the first that is free
    --epmdless          PROGRAM's nodes do without epmd. With --dist-port N all listen
                        on N, one an address; else each has a port of its own, and
                        those of this user and host find each other
    --peer NAME@HOST=PORT, --peers FILE
                        with --epmdless: nodes elsewhere, or a file with a line for
                        each, which is read again at each search
    --local             epmd and PROGRAM's nodes on the loopback interface only
    --dry-run           with repair: say which nodes, and change nothing
    --json              print one JSON object; errors too
    -q, --quiet         print no result; warnings and errors stay. With doctor, only
                        what is not ok
    -v, --verbose       say what is done

Exit codes: 0 done, 1 failed, 2 usage, 69 no working epmd, 126 PROGRAM can't be
run, 127 PROGRAM not found, else PROGRAM's own.
`

// commandHelp is a function, as command is: a map would be made at each start.
func commandHelp() map[string]string {
	return map[string]string{
		"ensure": `Usage: beamrun [FLAGS] ensure

Asks whether an epmd answers, and starts one where nothing listens: detached, so
that it outlives this shell, job, session or service. Says in one line what was
done. For a CI step before distributed tests, or a release's start script.

It never starts an epmd beside something that has the port: a stopped epmd or
another program is an error (exit 69) that names it.
`,
		"names": `Usage: beamrun [FLAGS] names [NODE]

Lists the nodes that are registered, a line each: name, port, and on Linux pid and
program of who listens on that port, and "alive"; or "stale" if nobody does, so that
nobody can connect to such a node. Of another user's process only root sees pid and
program. Of more than 100 nodes they are shown with -v or --json only. Then this
user's nodes that were started with --epmdless, with "epmdless" behind: they are
registered by a file each.

With NODE, a name with or without its @host, prints its port (with --json all of the
above; epmd's, if both have the name); exit 1 if it is not registered, or if that host
is not this one. Starts no epmd:
exit 69 if none answers, unless none runs and some do without. With --epmdless only
those, and epmd is not asked.
`,
		"stop": `Usage: beamrun [FLAGS] stop

Asks epmd to end, waits until nobody listens on its port, and says in one line what
was done. Where nothing listens there is nothing to do: exit 0.

Exit 1, and epmd goes on, while nodes are registered (nodes-registered; the message
lists them), and where a unit of systemd keeps it (service; the hint is the command
that stops that). A stopped epmd or another program is an error (exit 69), as with
ensure.
`,
		"doctor": `Usage: beamrun [FLAGS] doctor

Says what is wrong here, and what mends it. A line for each check: ok, warn (it
works, and will not for long or not for all) or fail, what was seen, and below it
the command that mends it, behind a $. Changes nothing, and no node is told.

On a terminal in colours, unless NO_COLOR is set. -q leaves out what is ok. With
--epmdless, for a host that has no epmd on purpose, nothing about epmd is looked at.
Exit 1 if a check failed.
`,
		"repair": `Usage: beamrun [FLAGS] repair [--dry-run] [NODE...]

Finds the nodes of this host that run and that epmd does not know (or knows at
another port), and has each register itself again, so that its name lives as
long as the node. Without NODE all that have lost their names; with NODE, names
with or without @host, only those, and also those that were started to boot
without epmd (-erl_epmd_port 0). Starts epmd if there is none. A node that does
without epmd altogether (--epmdless) has lost nothing, and is left alone.

    --dry-run        say which, and change nothing; "beamrun doctor" says so too
    --cookie SOURCE  the cookie of this user's nodes (default: the one that each
                     node was started with, as its process shows it)

A cookie is shown only to nodes of its owner. Root repairs another user's node by a
helper that becomes that user. A line for each node; how many Erlang VMs could not be
looked at is said. Exit 1 if a node could not be repaired: its name belongs to another
node (taken), two have the same name (twins), another cookie (cookie; the node's log
has a line of that), it speaks TLS (tls), is another user's (other-user), in another
network namespace (other-namespace), uses another epmd (other-epmd) or none
(epmdless), does not answer (silent), was not asked in time (not-asked), or refuses
(refused).
`,
		"cookie": `Usage: beamrun [FLAGS] cookie [new|path|check|rotate]

    new      print a new cookie, 64 hex digits, and keep it nowhere
    path     print which file holds the user's cookie
    check    say whether Erlang accepts that file (the default), and whether the
             cookie can be guessed; exit 1 if it does not
    rotate   put a new cookie into that file; running nodes keep the old one

--cookie file:PATH names another file.
`,
		"version": "Usage: beamrun version\n",
		"help":    "Usage: beamrun help [COMMAND]\n",
	}
}

// help is `beamrun help [COMMAND]`, and --help anywhere before PROGRAM.
func (a *app) help(_ context.Context, args []string) error {
	text := usage
	if len(args) > 0 {
		var ok bool
		if text, ok = commandHelp()[args[0]]; !ok {
			return &usageError{"no command " + printable(args[0]), "beamrun help"}
		}
	}
	_, err := fmt.Fprint(a.stdout, text)
	return err
}
