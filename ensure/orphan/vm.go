package orphan

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// This file reads the arguments of an Erlang VM, as init(3) does. Whatever way they were given, also by ERL_FLAGS, a vm.args or an
// -args_file, they all stand there.

// values returns what follows each occurrence of a flag, up to the next one.
func values(args []string, flag string) (all [][]string) {
	if i := slices.Index(args, "-extra"); i >= 0 {
		args = args[:i]
	}
	for i, arg := range args {
		if arg != flag {
			continue
		}
		rest := args[i+1:]
		end := slices.IndexFunc(rest, func(s string) bool { return strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") })
		if end < 0 {
			end = len(rest)
		}
		all = append(all, rest[:end])
	}
	return all
}

// value returns the first value of a flag, or "".
func value(args []string, flag string) string {
	for _, v := range values(args, flag) {
		if len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// kernel returns a parameter of the application kernel, or "". Of many, OTP takes the last one of the first -kernel that has it.
func kernel(args []string, parameter string) (found string) {
	for _, v := range values(args, "-kernel") {
		for pair := range slices.Chunk(v, 2) {
			if len(pair) == 2 && pair[0] == parameter {
				found = pair[1]
			}
		}
		if found != "" {
			break
		}
	}
	return found
}

// NameOf is the short name that an Erlang VM's arguments give its node, what stands before the @, or "". A node that is named later
// (net_kernel:start, Node.start) has none here.
func NameOf(args []string) string { return short(nodeName(args)) }

// ShowsCookie says that the arguments hold the node's cookie, for every user of the host to read.
func ShowsCookie(args []string) bool { return ownCookie(args) != "" }

// nodeName is the name that the arguments give the node, with its host where they have it, or "".
func nodeName(args []string) string {
	for _, flag := range []string{"-name", "-sname"} {
		// "undefined" gets its name from whom it connects to
		name := value(args, flag)
		if name != "undefined" && (isNodeName(name) || isFullName(name)) {
			return name
		}
	}
	return ""
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// maxName is the most characters that a node's whole name may have: it is an atom.
const maxName = 255

// isNodeName reports whether that can stand before the @ of a node's name (net_kernel.erl). Any process may say what it wants.
func isNodeName(s string) bool {
	return s != "" && len(s) <= maxName && strings.Trim(s, alphanumeric+"_-") == ""
}

// isFullName reports whether that can be a node's whole name.
func isFullName(s string) bool {
	name, host, _ := strings.Cut(s, "@")
	return len(s) <= maxName && isNodeName(name) && host != "" && strings.Trim(host, alphanumeric+"_-.:%") == ""
}

// epmdPort is where the node looks for epmd. erl makes an argument of ERL_EPMD_PORT.
func epmdPort(args []string) uint16 {
	port, err := strconv.ParseUint(value(args, "-epmd_port"), 10, 16)
	if err != nil || port == 0 {
		return 4369
	}
	return uint16(port)
}

// epmdModule is what the node has in place of OTP's client of epmd, or "". From OTP 27.2 on a parameter says that too.
func epmdModule(args []string) string {
	module := cmp.Or(value(args, "-epmd_module"), kernel(args, "epmd_module"))
	if module == "erl_epmd" {
		return ""
	}
	return module
}

// NodesFolder is the folder of the files by which a node is registered that `beamrun --epmdless` started, or "". The words are those of
// package epmdless, which can't be imported here: it needs package ensure, and that this one.
func NodesFolder(args []string) string {
	if epmdModule(args) != "beamrun_epmd" {
		return ""
	}
	return value(args, "-beamrun_nodes")
}

// ChangedUser reports whether root started such a node that runs as that user: then its directory is not the one in its arguments, but that
// user's own.
func ChangedUser(args []string, uid int) bool {
	found := values(args, "-beamrun_nodes")
	return uid > 0 && NodesFolder(args) != "" && len(found[0]) > 1 && found[0][1] == "0"
}

// PeersPort is the port on which a VM's node shall listen, and takes all of its peers to listen, so that it asks no epmd; 0 for none, or
// any.
func PeersPort(args []string) uint16 {
	port, err := strconv.ParseUint(peersPort(args), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(port)
}

// peersPort is that port as it is given, or "". From OTP 27.2 on a parameter says that too.
func peersPort(args []string) string {
	return cmp.Or(value(args, "-erl_epmd_port"), kernel(args, "erl_epmd_node_listen_port"))
}

// EpmdModule is the module that arguments, of a VM or in a variable such as ERL_FLAGS, put in the place
// of OTP's client of epmd, or "".
func EpmdModule(args []string) string { return epmdModule(args) }

// CodePaths are the directories from which arguments have a node load its modules (-pa, -pz).
func CodePaths(args []string) []string {
	return slices.Concat(append(values(args, "-pa"), values(args, "-pz")...)...)
}

// IsRelease reports whether the VM was started by the script of a release: it boots from a directory
// of its releases, or is configured by a file in one.
func IsRelease(args []string) bool {
	return strings.Contains(value(args, "-boot"), "/releases/") || strings.Contains(value(args, "-config"), "/releases/")
}

// speaksTLS says that the arguments have the node speak another protocol than plain TCP.
func speaksTLS(args []string) bool {
	proto := value(args, "-proto_dist")
	return proto != "" && proto != "inet_tcp" && proto != "inet6_tcp"
}

// ownCookie is the cookie that the arguments give, or "". Of two that are given, OTP takes none (auth.erl).
func ownCookie(args []string) string {
	given := values(args, "-setcookie")
	given = slices.DeleteFunc(given, func(v []string) bool { return len(v) > 1 }) // -setcookie NODE COOKIE is for that node
	if len(given) != 1 || len(given[0]) != 1 {
		return ""
	}
	return given[0][0]
}

// evaluates says that one of the -eval expressions holds the text.
func evaluates(args []string, text string) bool {
	for i, arg := range args[:max(0, len(args)-1)] {
		if arg == "-eval" && strings.Contains(args[i+1], text) {
			return true
		}
	}
	return false
}

// OnlyVisits says that the node listens for no other, and so has no registration (-dist_listen false).
func OnlyVisits(args []string) bool { return value(args, "-dist_listen") == "false" }
