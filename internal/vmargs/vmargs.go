// Package vmargs reads the arguments of an Erlang VM, as init(3) does. Every option is among the
// arguments of the process, also one from ERL_FLAGS, a vm.args or an -args_file.
package vmargs

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// The flags that the module of package epmdless reads, by init:get_argument/1.
const (
	// DIRECTORY [UID]: where nodes register, and the number of this user; none on Windows. If that
	// is root's and the node runs as another user by then, the module looks for that user's
	// directory.
	NodesFlag = "-beamrun_nodes"
	PeerFlag  = "-beamrun_peer"  // NAME@HOST=PORT, a node elsewhere; any number of them
	PeersFlag = "-beamrun_peers" // a file with a line for each peer, read at each search
)

// Values returns what follows each occurrence of a flag, up to the next flag.
func Values(args []string, flag string) (all [][]string) {
	if i := slices.Index(args, "-extra"); i >= 0 {
		args = args[:i]
	}
	isFlag := func(s string) bool { return strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") }
	for i, arg := range args {
		if arg != flag {
			continue
		}
		rest := args[i+1:]
		end := slices.IndexFunc(rest, isFlag)
		if end < 0 {
			end = len(rest)
		}
		all = append(all, rest[:end])
	}
	return all
}

// Value returns the first value of a flag, or "".
func Value(args []string, flag string) string {
	for _, v := range Values(args, flag) {
		if len(v) > 0 {
			return v[0]
		}
	}
	return ""
}

// Kernel returns a parameter of the application kernel, or "". Of several, OTP takes the last one
// of the first -kernel that has it.
func Kernel(args []string, parameter string) (found string) {
	for _, v := range Values(args, "-kernel") {
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

// NodeName returns the name that the arguments give the node, with its host if they have one, or
// "". A node that is named later (net_kernel:start, Node.start) has none here.
func NodeName(args []string) string {
	for _, flag := range []string{"-name", "-sname"} {
		// "undefined" gets its name from the node that it connects to
		name := Value(args, flag)
		if name != "undefined" && (IsShortName(name) || IsFullName(name)) {
			return name
		}
	}
	return ""
}

// ShortName returns what stands before the @ of the [NodeName], or "".
func ShortName(args []string) string {
	name, _, _ := strings.Cut(NodeName(args), "@")
	return name
}

const alphanumeric = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

// MaxName is the most characters that a node's full name may have: it is an atom.
const MaxName = 255

// IsShortName reports whether that can stand before the @ of a node's name (net_kernel.erl).
func IsShortName(s string) bool {
	return s != "" && len(s) <= MaxName && strings.Trim(s, alphanumeric+"_-") == ""
}

// IsFullName reports whether that can be a node's full name, with a host.
func IsFullName(s string) bool {
	name, host, _ := strings.Cut(s, "@")
	return len(s) <= MaxName && IsShortName(name) &&
		host != "" && strings.Trim(host, alphanumeric+"_-.:%") == ""
}

// EpmdPort returns the port on which the node looks for epmd. erl makes an argument of
// ERL_EPMD_PORT.
func EpmdPort(args []string) uint16 {
	return cmp.Or(port(Value(args, "-epmd_port")), epmd.DefaultPort)
}

// EpmdModule returns the module that the node has in the place of OTP's client of epmd, or "". From
// OTP 27.2 on a parameter of kernel can name it too.
func EpmdModule(args []string) string {
	module := cmp.Or(Value(args, "-epmd_module"), Kernel(args, "epmd_module"))
	if module == "erl_epmd" {
		return ""
	}
	return module
}

// NodesDir returns the directory in which the node registers if it does without epmd by the module
// of package epmdless, else "".
func NodesDir(args []string) string {
	if EpmdModule(args) != "" { // another module has that part
		return ""
	}
	return Value(args, NodesFlag)
}

// ChangedUser reports whether root started such a node and it runs as that other user now. Then its
// directory is not [NodesDir] but that user's own.
func ChangedUser(args []string, uid int) bool {
	found := Values(args, NodesFlag)
	return uid > 0 && NodesDir(args) != "" && len(found[0]) > 1 && found[0][1] == "0"
}

// PeersPort returns the port on which the node listens and on which it expects all of its peers, so
// that it asks no epmd. It is 0 if there is none, or any.
func PeersPort(args []string) uint16 { return port(peersPort(args)) }

// HasPeersPort reports whether the arguments name such a port, also a wrong one.
func HasPeersPort(args []string) bool { return peersPort(args) != "" }

// From OTP 27.2 on a parameter of kernel can name it too.
func peersPort(args []string) string {
	return cmp.Or(Value(args, "-erl_epmd_port"), Kernel(args, "erl_epmd_node_listen_port"))
}

// port returns 0 for what is no port.
func port(s string) uint16 {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// CodePaths returns the directories from which a node loads its modules beside its own (-pa, -pz).
func CodePaths(args []string) []string {
	return slices.Concat(append(Values(args, "-pa"), Values(args, "-pz")...)...)
}

// IsRelease reports whether the script of a release started the VM: it boots from a directory of
// the release, or a file in one configures it.
func IsRelease(args []string) bool {
	return strings.Contains(Value(args, "-boot"), "/releases/") ||
		strings.Contains(Value(args, "-config"), "/releases/")
}

// IsTLS reports whether the node speaks another protocol than plain TCP.
func IsTLS(args []string) bool {
	proto := Value(args, "-proto_dist")
	return proto != "" && proto != "inet_tcp" && proto != "inet6_tcp"
}

// Cookie returns the cookie that the arguments give, which every user of the host can read there,
// or "". Of two, OTP takes none (auth.erl).
func Cookie(args []string) string {
	given := slices.DeleteFunc(Values(args, "-setcookie"), func(v []string) bool {
		return len(v) > 1 // -setcookie NODE COOKIE is for that node
	})
	if len(given) != 1 || len(given[0]) != 1 {
		return ""
	}
	return given[0][0]
}

// Evaluates reports whether one of the -eval expressions holds the text.
func Evaluates(args []string, text string) bool {
	for i, arg := range args[:max(0, len(args)-1)] {
		if arg == "-eval" && strings.Contains(args[i+1], text) {
			return true
		}
	}
	return false
}

// RemoteShell returns the program by which the node starts nodes on other hosts (-rsh of slave(3)),
// or "".
func RemoteShell(args []string) string { return Value(args, "-rsh") }

// OnlyVisits reports whether the node listens for no other, and so has no registration
// (-dist_listen false).
func OnlyVisits(args []string) bool { return Value(args, "-dist_listen") == "false" }
