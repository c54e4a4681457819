package launcher

import (
	"slices"
	"strings"
)

// withLocal returns env with what makes a node listen on the loopback interface only.
func (c Config) withLocal(env []string) []string {
	if c.given(env, "inet_dist_use_interface") {
		return env
	}
	loopback := "{127,0,0,1}"
	if c.given(env, "inet6_") { // -proto_dist inet6_tcp, inet6_tls
		loopback = "{0,0,0,0,0,0,0,1}"
	}
	return withFlags(env, "-kernel inet_dist_use_interface "+loopback)
}

// given reports whether the arguments, or the flags in env, hold the word.
func (c Config) given(env []string, word string) bool {
	has := func(s string) bool { return strings.Contains(s, word) }
	inVar := func(key string) bool { return has(value(env, key)) }
	return slices.ContainsFunc(c.Args, has) || slices.ContainsFunc(flagVars, inVar)
}
