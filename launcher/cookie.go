package launcher

import (
	"slices"
	"strings"
)

const (
	cookieVar = "BEAMRUN_COOKIE"

	// setCookie runs in the node before any other -eval, and does nothing in a node that has no name when it boots (OTP
	// refuses to set its cookie), in an erl that the node's own programs start elsewhere (no variable), and where the
	// node has a -setcookie that nobody sees from outside: of a release's vm.args, or its script's. erlexec splits
	// ERL_AFLAGS at spaces outside of quotes.
	setCookie = `-eval 'case{node(),os:getenv("` + cookieVar + `"),init:get_argument(setcookie)}of` +
		`{N,C,error}when N/=nonode@nohost,C/=false->erlang:set_cookie(N,list_to_atom(C));` +
		`_->ok end'`
)

// withCookie returns env with what makes a node set its cookie when it boots. (erlang:set_cookie/1 is missing on
// OTP 23, so it is set_cookie/2 for the node itself.)
func withCookie(env []string, cookie string) []string {
	return withFlags(with(env, cookieVar+"="+cookie), setCookie)
}

// GivesCookie says whether a program's arguments or environment already give it a cookie: -setcookie of erl, --cookie of
// Elixir's programs, RELEASE_COOKIE of releases.
func GivesCookie(args, env []string) bool {
	for _, arg := range args {
		switch {
		case arg == "-extra" || arg == "--":
			return inEnv(env) // what follows is no option
		case arg == "--cookie" || hasSetCookie(arg): // --erl "-setcookie X" is one argument
			return true
		}
	}
	return inEnv(env)
}

func inEnv(env []string) bool {
	if value(env, "RELEASE_COOKIE") != "" {
		return true
	}
	return slices.ContainsFunc(flagVars, func(key string) bool { return hasSetCookie(value(env, key)) })
}

func hasSetCookie(s string) bool { return slices.Contains(strings.Fields(s), "-setcookie") }
