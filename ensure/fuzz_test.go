package ensure_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure"
)

// FuzzEnvironment resolves what ERL_EPMD_PORT and ERL_EPMD_ADDRESS may hold: to an endpoint whose
// own variables mean the same, or an error that says which variable is wrong.
func FuzzEnvironment(f *testing.F) {
	for _, env := range [][2]string{
		{"", ""}, {"4369", "127.0.0.1"}, {"65535", "::1, 10.0.0.5"}, {"65536", ""}, {"+1", ""},
		{" 1", ""}, {"0x10", ""}, {"1_0", ""}, {"", "localhost"}, {"", ","}, {"1", "fe80::1%eth0"},
		{"1", "::ffff:127.0.0.1"}, {"1", "0.0.0.0 ::"}, {"\x1b", "\xff"}, {"00001", "127.1"},
	} {
		f.Add(env[0], env[1])
	}
	f.Fuzz(func(t *testing.T, port, address string) {
		if strings.ContainsRune(port+address, 0) {
			t.Skip("no variable can hold it")
		}
		t.Setenv("ERL_EPMD_PORT", port)
		t.Setenv("ERL_EPMD_ADDRESS", address)
		e, err := ensure.Config{}.Resolve()
		if err != nil {
			var typed *ensure.Error
			if !errors.As(err, &typed) || typed.Kind != ensure.KindConfig ||
				!strings.HasPrefix(typed.Message(), "ERL_EPMD_") || typed.Hint == "" {
				t.Fatalf("%q %q: %#v", port, address, err)
			}
			for _, r := range typed.Message() {
				if !strconv.IsPrint(r) {
					t.Errorf("%q %q: %q", port, address, typed.Message())
				}
			}
			return
		}
		if e.Port < 1 || e.String() == "" {
			t.Errorf("%q %q: %+v", port, address, e)
		}
		for _, v := range e.Env() {
			key, value, _ := strings.Cut(v, "=")
			t.Setenv(key, value)
		}
		again, err := ensure.Config{}.Resolve()
		if err != nil || again.String() != e.String() ||
			strings.Join(again.Env(), " ") != strings.Join(e.Env(), " ") {
			t.Errorf("%q %q: %+v, and by its own variables %+v, %v", port, address, e, again, err)
		}
	})
}

// A variable may hold anything, of any length: the error shows its beginning, quoted.
func TestDetachOfAnything(t *testing.T) {
	for _, s := range []string{strings.Repeat("x", 1<<20), strings.Repeat("\x1b", 200), "a\n"} {
		t.Setenv("BEAMRUN_DETACH", s)
		_, err := ensure.Epmd(t.Context(), ensure.Config{Port: 1, Program: "/no/such/epmd"})
		var e *ensure.Error
		if !errors.As(err, &e) || e.Kind != ensure.KindConfig || len(e.Error()) > 1000 {
			t.Fatalf("%.20q: %.300v", s, err)
		}
		for _, r := range e.Error() {
			if !strconv.IsPrint(r) {
				t.Errorf("%.20q: %.300q", s, e.Error())
				break
			}
		}
	}
}
