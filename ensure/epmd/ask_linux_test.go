package epmd

import (
	"net"
	"strconv"
	"testing"
)

// A zone is an interface's name or number, as for package net.
func TestZone(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lo", strconv.Itoa(lo.Index)} {
		if id, err := zoneID(name); id != uint32(lo.Index) || err != nil {
			t.Errorf("%s: %d, %v", name, id, err)
		}
	}
	if id, err := zoneID(""); id != 0 || err != nil {
		t.Errorf("none: %d, %v", id, err)
	}
}
