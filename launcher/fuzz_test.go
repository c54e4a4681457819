package launcher

import (
	"slices"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure"
)

// FuzzEnvironment adds all that the launcher can add to any environment, for any arguments; both in
// pieces between NULs.
func FuzzEnvironment(f *testing.F) {
	f.Add("A=B\x00ERL_AFLAGS=-hidden\x00A=C", "-sname\x00x")
	f.Add("ERL_ZFLAGS=-setcookie x\x00noequals\x00=C:=x", "--erl\x00-proto_dist inet6_tcp")
	f.Add("RELEASE_COOKIE=x\x00ERL_AFLAGS=\x00ERL_AFLAGS=-a", "-extra\x00-setcookie")
	f.Add("ELIXIR_ERL_OPTIONS=-kernel inet_dist_use_interface x\x00BEAMRUN_COOKIE=old", "")
	f.Fuzz(func(t *testing.T, vars, words string) {
		const cookie = "a-cookie-that-is-nowhere-else"
		if strings.Contains(vars+words, cookie) {
			t.Skip()
		}
		env, args := strings.Split(vars, "\x00"), strings.Split(words, "\x00")
		if asksForShell(args) {
			t.Skip() // makes a folder
		}
		before := slices.Clone(env)
		got := environ(t, Config{Args: args, Env: env, Endpoint: ensure.Endpoint{Port: 4711}, Local: true, Cookie: cookie})
		if !slices.Equal(env, before) {
			t.Fatalf("the caller's %q became %q", before, env)
		}

		// every other variable stays as it is, in its place
		ours := func(v string) bool {
			key, _, ok := strings.Cut(v, "=")
			return ok && slices.Contains([]string{"ERL_EPMD_PORT", "ERL_AFLAGS", cookieVar}, key)
		}
		if want, rest := slices.DeleteFunc(before, ours), slices.DeleteFunc(slices.Clone(got), ours); !GivesCookie(args, env) && !slices.Equal(want, rest) {
			t.Errorf("%q became %q", want, rest)
		}
		flags := value(got, "ERL_AFLAGS")
		if !strings.HasPrefix(flags, strings.TrimSpace(value(env, "ERL_AFLAGS"))) || value(got, "ERL_EPMD_PORT") != "4711" {
			t.Errorf("%q", got)
		}
		count := strings.Count(strings.Join(got, "\x00"), cookie)
		switch {
		case GivesCookie(args, env) && count != 0:
			t.Errorf("a cookie is given already, but: %q", got)
		case !GivesCookie(args, env) && (count != 1 || value(got, cookieVar) != cookie || !strings.HasSuffix(flags, setCookie)):
			t.Errorf("%q", got)
		}
	})
}
