package launcher

import (
	"slices"
	"testing"

	"github.com/beamrun/beamrun/ensure"
)

func TestEpmdPort(t *testing.T) {
	for _, tt := range []struct {
		program   string
		args, env []string
		want      uint16
	}{
		{"erl", []string{"-sname", "a"}, nil, 0},
		{"erl", []string{"-sname", "a", "-epmd_port", "5500"}, nil, 5500},
		{"/usr/bin/erl", []string{"--", "a", "-epmd_port", "5500"}, nil, 5500}, // "--" ends no options of erl
		{"env", []string{"X=1", "erl", "-epmd_port", "5500", "-epmd_port", "5501"}, nil, 5500},
		{"erl", []string{"-extra", "-epmd_port", "5500"}, nil, 0},
		{"erl", []string{"-epmd_port"}, nil, 0},
		{"erl", []string{"-epmd_port", "-epmd_port", "5500"}, nil, 0},
		{"erl", []string{"-epmd_port", "65536"}, nil, 0},
		{"iex", []string{"--sname", "a", "--erl", "+S 1 -epmd_port 5500"}, nil, 5500},
		{"elixir", []string{"--erl", "-hidden", "--erl", "-epmd_port 5500", "-e", "x"}, nil, 5500},
		{"elixir", []string{"-e", "x", "--", "--erl", "-epmd_port 5500"}, nil, 0},
		{"iex", []string{"-S", "mix", "--erl", "-epmd_port 5500"}, nil, 0},
		{"elixir", []string{"script.exs", "-epmd_port", "5500"}, nil, 0},
		{"elixir", []string{"--erl"}, nil, 0},
		{"erl", []string{"-epmd_port", "2"}, []string{"ERL_AFLAGS=-epmd_port 1", "ERL_FLAGS=-epmd_port 3"}, 1},
		{"erl", []string{"-epmd_port", "2"}, []string{"ERL_ZFLAGS=-epmd_port 4", "ERL_FLAGS=-epmd_port 3"}, 2},
		{"erl", nil, []string{"ERL_ZFLAGS=-epmd_port 4", "ERL_FLAGS=-epmd_port 3"}, 3},
		{"erl", []string{"-extra", "x"}, []string{"ERL_FLAGS=-extra -epmd_port 3", "ERL_ZFLAGS=-epmd_port 4"}, 4},
		{"erl", nil, []string{"ELIXIR_ERL_OPTIONS=-epmd_port 5"}, 0},
		{"mix", []string{"test"}, []string{"ELIXIR_ERL_OPTIONS=-epmd_port 5"}, 5},
		{"mix", []string{"test"}, []string{"ERL_EPMD_PORT=5"}, 0},
	} {
		if got := EpmdPort(tt.program, tt.args, tt.env); got != tt.want {
			t.Errorf("%s %q %q: %d, want %d", tt.program, tt.args, tt.env, got, tt.want)
		}
	}
}

// A port that nobody chose is not set, and an empty variable is taken away: with it, a node fails
// to boot.
func TestImpliedPort(t *testing.T) {
	e := ensure.Endpoint{Port: 4369, Implied: true}
	for before, want := range map[string][]string{"A=1": {"A=1"}, "ERL_EPMD_PORT=": {}, "ERL_EPMD_PORT=7": {"ERL_EPMD_PORT=7"}} {
		if got := environ(t, Config{Env: []string{before}, Endpoint: e}); !slices.Equal(got, want) {
			t.Errorf("%q became %q", before, got)
		}
	}
}
