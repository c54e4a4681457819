package doctor

import (
	"github.com/beamrun/beamrun/internal/parse"
	"github.com/beamrun/beamrun/internal/shell"
)

// This file and beamrun_linux.go have all that checks show of beamrun's own commands and flags.

// beamrun is the beginning of a command of beamrun's for the same endpoint.
func (h *host) beamrun() shell.Command {
	c := shell.New("beamrun")
	if h.config.Port != 0 {
		c = c.Words("--port").Int(int(h.config.Port))
	}
	if len(h.config.Addresses) > 0 {
		c = c.Words("--address").Arg(parse.Join(h.config.Addresses))
	}
	if h.config.Local {
		c = c.Words("--local")
	}
	return c
}

func (h *host) doctorCommand() shell.Command { return h.beamrun().Words("doctor") }
func (h *host) ensureCommand() shell.Command { return h.beamrun().Words("ensure") }
func (h *host) stopCommand() shell.Command   { return h.beamrun().Words("stop") }

// repairCommand is for those nodes, without any for all.
func (h *host) repairCommand(nodes ...string) shell.Command {
	return h.beamrun().Words("repair").Args(nodes...)
}

// stopOther stops the epmd on another port.
func stopOther(port uint16) shell.Command {
	return shell.New("beamrun", "--port").Int(int(port)).Words("stop")
}

// rotate puts a new cookie into the user's file.
func rotate() shell.Command { return shell.New("beamrun", "cookie", "rotate") }

// rotateFile puts a new cookie into the file at path.
func rotateFile(path string) shell.Command {
	return shell.New("beamrun", "--cookie").Option("file:", path).Words("cookie", "rotate")
}

// What the flags can do, after the hint of another package.
const (
	orProgram = "%s; --epmd PATH names one, without it one is looked for"
	orPort    = "%s or --port N; nodes can also do without epmd: --epmdless"
	orCookie  = "%s, or give the cookie with --cookie env:NAME"
)

// Advice that names commands or flags.
const (
	doWithout = "or start nodes that do without: beamrun --epmdless PROGRAM;" +
		" then: beamrun --epmdless doctor"
	stopUnused   = "end those that nobody needs: beamrun --port N stop"
	startThere   = "start them there by beamrun --epmdless too"
	giveLoopback = "give the host [::1] (sysctl net.ipv6.conf.lo.disable_ipv6=0)," +
		" ask for no address (--address, --local, ERL_EPMD_ADDRESS)," +
		" or take an epmd of OTP 23.3.4.14, 24.3.4, 25.0 or later; of 27, 28 and 29 the newest"
	startHidden = "at the next planned restart: stop it," +
		" beamrun cookie rotate if that is its cookie, and start it without -setcookie, by beamrun"
	hideOfRelease = "a release's cookie is in releases/COOKIE, RELEASE_COOKIE or its vm.args:" +
		" change it there at its next restart; the lines for rel/env.sh.eex and vm.args" +
		" that keep it out of the arguments are in SECURITY.md of beamrun"
)

// Evidence that names flags.
const (
	keptOut    = "a firewall, or epmd started with --local, keeps others out"
	whereAsked = "--address, --local or ERL_EPMD_ADDRESS"
)
