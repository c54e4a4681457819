package launcher

import (
	"fmt"
	"slices"
	"strings"
)

const (
	cookieVar = "BEAMRUN_COOKIE"

	// setCookie runs in the node before any other -eval, and does nothing in a node that has no
	// name when it boots (OTP refuses to set its cookie), in an erl that the node's own programs
	// start elsewhere (no variable), and where the node has a -setcookie that is not seen from
	// outside: of a release's vm.args, or its script's. erlexec splits ERL_AFLAGS at spaces
	// outside of quotes.
	setCookie = `-eval 'case{node(),os:getenv("` + cookieVar + `"),` +
		`init:get_argument(setcookie)}of{N,C,error}when N/=nonode@nohost,C/=false->` +
		`erlang:set_cookie(N,list_to_atom(C));` +
		`_->ok end'`
)

// withCookie returns env with what makes a node have the cookie: from its first moment where a
// remote shell is asked for, else when it boots. (erlang:set_cookie/1 is missing on OTP 23, so it
// is set_cookie/2 for the node itself.)
func (c Config) withCookie(env []string) []string {
	if readsHome && asksForShell(c.Args) {
		shell, err := withHome(env, c.Cookie)
		if err == nil {
			return shell
		}
		if c.Warn != nil {
			c.Warn(fmt.Sprintf("the remote shell gets its cookie late, and may fail to connect: %v",
				err))
		}
	}
	return withFlags(with(env, cookieVar+"="+c.Cookie), setCookie)
}

// GivesCookie reports whether a program's arguments or environment already give it a cookie:
// -setcookie of erl, --cookie of Elixir's programs, RELEASE_COOKIE of releases.
func GivesCookie(args, env []string) bool {
	// --erl "-setcookie X" is one argument
	inArg := func(arg string) bool { return arg == "--cookie" || hasSetCookie(arg) }
	inVar := func(key string) bool { return hasSetCookie(value(env, key)) }
	return slices.ContainsFunc(options(args), inArg) || value(env, "RELEASE_COOKIE") != "" ||
		slices.ContainsFunc(flagVars, inVar)
}

// options returns the arguments that may be options: those before -extra or --.
func options(args []string) []string {
	isEnd := func(arg string) bool { return arg == "-extra" || arg == "--" }
	if i := slices.IndexFunc(args, isEnd); i >= 0 {
		return args[:i]
	}
	return args
}

func hasSetCookie(s string) bool { return slices.Contains(strings.Fields(s), "-setcookie") }
