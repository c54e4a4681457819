package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/ensure/epmd"
)

// Columns are aligned, one that nobody has is left out, and a name plays no tricks.
func TestNameColumns(t *testing.T) {
	known := []heldName{
		{Node: epmd.Node{Name: "alice", Port: 40001}, Known: true, Alive: true, PID: 7, Program: "beam.smp"},
		{Node: epmd.Node{Name: "bøb", Port: 9}, Known: true, Alive: true},
		{Node: epmd.Node{Name: "a\x1b[0m", Port: 65535}, Known: true},
		{Node: epmd.Node{Name: "c", Port: 1}, Known: true, Alive: true, PID: 12345, Program: "my node"},
	}
	want := "alice      40001 7     beam.smp  alive\n" +
		"bøb        9                     alive\n" +
		`"a\x1b[0m" 65535                 stale` + "\n" +
		"c          1     12345 \"my node\" alive\n"
	if got := written(t, columns, known, len(known)); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	wantMixed := "alice      40001 7     beam.smp  alive\n" +
		"bøb        9                     alive\n" +
		`"a\x1b[0m" 65535                 stale` + "\n" +
		"c          1     12345 \"my node\" alive epmdless\n"
	if got := written(t, columns, known, 3); got != wantMixed {
		t.Errorf("got\n%swant\n%s", got, wantMixed)
	}
	unknown := []heldName{{Node: epmd.Node{Name: "alice", Port: 40001}}, {Node: epmd.Node{Name: "b", Port: 1}}}
	if got := written(t, columns, unknown, 2); got != "alice 40001\nb     1\n" {
		t.Errorf("got\n%s", got)
	}
	if got := written(t, columns, nil, 0); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func written(t *testing.T, write func(io.Writer, []heldName, int) error, all []heldName, ofEpmd int) string {
	t.Helper()
	var out bytes.Buffer
	if err := write(&out, all, ofEpmd); err != nil {
		t.Error(err)
	}
	return out.String()
}

// One long name does not widen the rows of all.
func TestNameColumnsAreBounded(t *testing.T) {
	all := make([]heldName, 1000)
	for i := range all {
		all[i] = heldName{Node: epmd.Node{Name: "a", Port: 1}}
	}
	all[500].Name = strings.Repeat("x", 255)
	got := written(t, columns, all, len(all))
	if len(got) > 1000*(maxColumn+3)+255 || !strings.Contains(got, "\n"+all[500].Name+" 1\n") {
		t.Errorf("%d bytes", len(got))
	}
}
