package launcher

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/beamrun/beamrun/internal/parse"
)

const epmdPortVar = "ERL_EPMD_PORT"

// EpmdPort returns the port of epmd that a program's arguments or environment give its nodes by
// -epmd_port, or 0. It looks at the arguments of erl, at those in an --erl of Elixir's programs,
// and at the variables with options of erl, and not at files (-args_file, a release's vm.args).
// ERL_EPMD_PORT is not looked at: where it is set, nodes take that port.
func EpmdPort(program string, args, env []string) uint16 {
	name := strings.TrimSuffix(filepath.Base(program), ".exe")
	lists := [][]string{
		strings.Fields(value(env, "ERL_AFLAGS")), nil, ownFlags(name, args),
		strings.Fields(value(env, "ERL_FLAGS")), strings.Fields(value(env, "ERL_ZFLAGS")),
	}
	if name != "erl" {
		lists[1] = strings.Fields(value(env, "ELIXIR_ERL_OPTIONS"))
	}
	for _, flags := range lists { // in the order in which erl reads them; a node takes the first
		if i := slices.Index(flags, "-extra"); i >= 0 { // up to the end of that list
			flags = flags[:i]
		}
		if i := slices.Index(flags, "-epmd_port"); i >= 0 {
			if i+1 == len(flags) {
				return 0
			}
			port, _ := parse.Port(flags[i+1])
			return port
		}
	}
	return 0
}

// ownFlags returns those of a program's arguments that are options of erl.
func ownFlags(program string, args []string) (flags []string) {
	if !slices.Contains([]string{"elixir", "iex", "mix", "elixirc"}, program) {
		// also a program that runs erl, such as env; for erl, "--" ends no options
		flags = slices.Clone(args)
	}
	for i, arg := range args {
		switch arg {
		case "--", "-extra", "-S": // where the options of Elixir's programs end
			return flags
		case "--erl":
			if i+1 < len(args) {
				flags = append(flags, strings.Fields(args[i+1])...)
			}
		}
	}
	return flags
}
