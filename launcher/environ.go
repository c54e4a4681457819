package launcher

import (
	"runtime"
	"slices"
	"strings"

	"github.com/beamrun/beamrun/cookie"
)

// with returns env with each KEY=VALUE of vars in place of all others of that KEY: of two, C
// programs take the first and Go takes the last.
func with(env []string, vars ...string) []string {
	for _, v := range vars {
		key, _, _ := strings.Cut(v, "=")
		env = append(without(env, key), v)
	}
	return env
}

// flagVars are the variables with options of erl.
var flagVars = []string{"ERL_AFLAGS", "ERL_FLAGS", "ERL_ZFLAGS", "ELIXIR_ERL_OPTIONS"}

// withFlags returns env with more options of erl, before those of the command line.
func withFlags(env []string, flags string) []string {
	return with(env, "ERL_AFLAGS="+strings.TrimSpace(value(env, "ERL_AFLAGS")+" "+flags))
}

// withLastFlags returns env with more options of erl, behind those of the command line. So a node
// that the program starts, and that has one of its own, keeps it: of two, Erlang takes the first.
// They come before what the variable has, in which there may be an -extra.
func withLastFlags(env []string, flags string) []string {
	return with(env, "ERL_ZFLAGS="+strings.TrimSpace(flags+" "+value(env, "ERL_ZFLAGS")))
}

// value returns the value of key in env, the first as C programs do, and "" when there is none.
func value(env []string, key string) string {
	for _, v := range env {
		if rest, ok := strings.CutPrefix(v, key+"="); ok {
			return rest
		}
	}
	return ""
}

// withoutSecret returns env without the secret that cookies are derived from: with it, one node
// could derive the cookie of every other label.
func withoutSecret(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		key, _, _ := strings.Cut(v, "=")
		return key == cookie.SecretVar ||
			runtime.GOOS == "windows" && strings.EqualFold(key, cookie.SecretVar)
	})
}

// without returns a copy of env less that key: env itself may be the caller's.
func without(env []string, key string) []string {
	isIt := func(v string) bool { return strings.HasPrefix(v, key+"=") }
	return slices.DeleteFunc(slices.Clone(env), isIt)
}
