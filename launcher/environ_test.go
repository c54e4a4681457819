package launcher

import (
	"slices"
	"testing"
)

// What a caller gives stays as it was, whatever is taken out and put in.
func TestCallersEnvironment(t *testing.T) {
	given := []string{cookieVar + "=old", "A=1", "BEAMRUN_SECRET=s", "HOME=/nonexistent", "ERL_AFLAGS=-hidden", "A=2", "B=3"}
	env := slices.Clone(given)
	for _, change := range []func(){
		func() {
			Command(t.Context(), Config{Program: "go", Args: []string{"-remsh", "x"}, Env: env, Cookie: "abc", Local: true})
		},
		func() { with(env, "A=3", "B=4") },
		func() { without(env, cookieVar) },
		func() { withHome(env, "abc") },
		func() { withFlags(env, "-x") },
		func() { withoutSecret(env) },
	} {
		if change(); !slices.Equal(env, given) {
			t.Errorf("%q became %q", given, env)
			env = slices.Clone(given)
		}
	}
}
