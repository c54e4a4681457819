package main

import (
	"slices"
	"testing"
)

// What follows -- is no flag of beamrun's: a name may begin with a -.
func TestNamesThatBeginWithADash(t *testing.T) {
	for _, tt := range []struct{ args, want []string }{
		{[]string{"--", "-x"}, []string{"-x"}},
		{[]string{"--", "-x", "-y", "--json"}, []string{"-x", "-y", "--json"}},
		{[]string{"a", "--", "-x", "--", "-y"}, []string{"a", "-x", "--", "-y"}},
		{[]string{"-v", "--", "--", "-x"}, []string{"--", "-x"}},
		{[]string{"a", "-v", "--", "-q"}, []string{"a", "-q"}},
		{[]string{"a", "--"}, []string{"a"}},
	} {
		var o options
		rest, err := o.parseCommand(tt.args)
		if err != nil || !slices.Equal(rest, tt.want) || o.json || o.quiet {
			t.Errorf("%q: %q, %v, %+v", tt.args, rest, err, o)
		}
	}
	for _, args := range [][]string{{"-x"}, {"a", "-x"}, {"-x", "--"}} {
		if rest, err := new(options).parseCommand(args); err == nil {
			t.Errorf("%q: %q", args, rest)
		}
	}
}
