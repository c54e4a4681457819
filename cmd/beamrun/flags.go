package main

import (
	"cmp"
	"errors"
	"flag"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/beamrun/beamrun/cookie"
	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/internal/parse"
	"github.com/beamrun/beamrun/internal/shell"
	"github.com/beamrun/beamrun/launcher"
)

// options are what the flags say. They stand before PROGRAM, and before or after a command of
// beamrun's.
type options struct {
	port     uint16
	address  []netip.Addr
	epmdPath string
	detach   ensure.Detach
	timeout  time.Duration
	distPort launcher.Ports
	epmdless bool
	peers    []string
	peerFile string
	source   cookie.Source // "": none was asked for
	local    bool
	json     bool
	quiet    bool
	verbose  bool
	dryRun   bool

	wantWatch   bool
	wantHelp    bool
	wantVersion bool
}

func (o *options) flagSet() *flag.FlagSet {
	fs := flag.NewFlagSet("beamrun", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // output.go says it in our words
	fs.Func("port", "", func(s string) (err error) { o.port, err = parse.Port(s); return err })
	fs.Func("address", "", func(s string) (err error) {
		if o.address, err = parse.Addresses(s); err == nil && len(o.address) == 0 {
			err = errors.New("must not be empty")
		}
		return err
	})
	fs.Func("epmd", "", func(s string) error {
		if o.epmdPath = s; s == "" {
			return errors.New("must not be empty")
		}
		return notDashes(s)
	})
	fs.Func("detach", "", func(s string) error { return o.detach.UnmarshalText([]byte(s)) })
	fs.Func("timeout", "", func(s string) (err error) {
		if o.timeout, err = time.ParseDuration(s); err != nil || o.timeout <= 0 {
			return errors.New("it is not a time such as 500ms, 10s or 1m")
		}
		return nil
	})
	fs.Func("cookie", "", func(s string) error { return o.source.UnmarshalText([]byte(s)) })
	fs.BoolVar(&o.epmdless, "epmdless", o.epmdless, "")
	fs.Func("dist-port", "", func(s string) (err error) {
		o.distPort, err = launcher.ParsePorts(s)
		return err
	})
	fs.Func("peer", "", func(s string) error {
		o.peers = append(o.peers, s)
		return launcher.CheckPeer(s)
	})
	fs.Func("peers", "", func(s string) error {
		o.peerFile = s
		return cmp.Or(notDashes(s), launcher.CheckPeersFile(s))
	})
	fs.BoolVar(&o.local, "local", o.local, "")
	fs.BoolVar(&o.dryRun, "dry-run", o.dryRun, "")
	fs.BoolVar(&o.wantWatch, "watch", o.wantWatch, "")
	fs.BoolVar(&o.json, "json", o.json, "")
	for _, name := range []string{"q", "quiet"} {
		fs.BoolVar(&o.quiet, name, o.quiet, "")
	}
	for _, name := range []string{"v", "verbose"} {
		fs.BoolVar(&o.verbose, name, o.verbose, "")
	}
	for _, name := range []string{"h", "help"} {
		fs.BoolVar(&o.wantHelp, name, o.wantHelp, "")
	}
	fs.BoolVar(&o.wantVersion, "version", o.wantVersion, "")
	return fs
}

// notDashes is the error of a -- in the place of a path: there the path was left out, and flags
// end.
func notDashes(s string) error {
	if s == "--" {
		return errors.New("a path has to stand before -- (a file of that name is ./--)")
	}
	return nil
}

// wantsJSON reports whether a wrong line asks for JSON: then the answer to it is JSON too, wherever
// in it the wish stands.
func wantsJSON(args []string) bool {
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i]
	}
	return slices.Contains(args, "--json")
}

// parse takes beamrun's flags off the front of args and returns what follows. literal says that a
// -- stood before it: then it is a program, whatever its name.
func (o *options) parse(args []string) (words []string, literal bool, err error) {
	// most lines; the set of flags costs as much as the probe
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return args, false, nil
	}
	fs := o.flagSet()
	if err := fs.Parse(args); err != nil {
		o.json = o.json || wantsJSON(args)
		return nil, false, flagError(err, true)
	}
	taken := len(args) - fs.NArg()
	return fs.Args(), taken > 0 && args[taken-1] == "--", nil
}

// parseCommand takes beamrun's flags out of a command's arguments, wherever they stand.
func (o *options) parseCommand(args []string) (rest []string, err error) {
	if len(args) == 0 {
		return nil, nil
	}
	fs := o.flagSet()
	for len(args) > 0 {
		if args[0] == "--" { // what follows is no flag, even if it begins with a -
			return append(rest, args[1:]...), nil
		}
		if err := fs.Parse(args); err != nil {
			o.json = o.json || wantsJSON(args)
			return nil, flagError(err, false)
		}
		if n := len(args) - fs.NArg(); n > 0 && args[n-1] == "--" {
			return append(rest, fs.Args()...), nil
		}
		if args = fs.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

// flagError says what package flag found in our words. beforeProgram: where a flag may be one of
// the program's, misplaced.
func flagError(err error, beforeProgram bool) error {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		hint := "beamrun help"
		if beforeProgram {
			own := shell.New("beamrun", "iex").Option("--", name)
			if len(name) == 1 {
				own = shell.New("beamrun", "iex").Option("-", name)
			}
			hint = "a program's own flags stand after its name: " + own.String() +
				"; beamrun's flags: beamrun help"
		}
		return &usageError{"unknown flag " + dashes(name), hint}
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return &usageError{dashes(name) + " needs a value", "beamrun help"}
	}
	// invalid value "x" for flag -port: cause; the value may be a cookie, so it is left out,
	// whatever it holds
	if rest, ok := strings.CutPrefix(text, "invalid value "); ok {
		value, _ := strconv.QuotedPrefix(rest)
		name, cause, _ := strings.Cut(strings.TrimPrefix(rest[len(value):], " for flag -"), ": ")
		return &usageError{dashes(name) + ": " + clean(cause), "beamrun help"} // it may name a file
	}
	// invalid boolean value "x" for -json: cause
	if rest, ok := strings.CutPrefix(text, "invalid boolean value "); ok {
		value, _ := strconv.QuotedPrefix(rest)
		name, _, _ := strings.Cut(strings.TrimPrefix(rest[len(value):], " for -"), ": ")
		return &usageError{dashes(name) + " takes no value but true and false", "beamrun help"}
	}
	if arg, ok := strings.CutPrefix(text, "bad flag syntax: "); ok {
		return &usageError{printable(arg) + " is no flag", "beamrun help"}
	}
	return &usageError{printable(text), "beamrun help"}
}

func dashes(name string) string {
	if len(name) == 1 {
		return printable("-" + name)
	}
	return printable("--" + name)
}
