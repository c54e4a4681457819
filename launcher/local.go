package launcher

import (
	"slices"
	"strings"
)

// withLocal returns env with what makes a node listen on the loopback interface only.
func withLocal(env, args []string) []string {
	given := func(word string) bool {
		has := func(s string) bool { return strings.Contains(s, word) }
		return slices.ContainsFunc(args, has) || slices.ContainsFunc(flagVars, func(key string) bool { return has(value(env, key)) })
	}
	if given("inet_dist_use_interface") {
		return env
	}
	loopback := "{127,0,0,1}"
	if given("inet6_") { // -proto_dist inet6_tcp, inet6_tls
		loopback = "{0,0,0,0,0,0,0,1}"
	}
	return withFlags(env, "-kernel inet_dist_use_interface "+loopback)
}
