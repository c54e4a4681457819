package systemd

import (
	"strings"
	"testing"
)

func TestEpmdPort(t *testing.T) {
	for args, want := range map[string]uint16{"epmd": 4369, "epmd -daemon": 4369, "epmd -port 5000": 5000, "/usr/bin/epmd -address 127.0.0.1 -port 7 -daemon": 7, "epmd -port": 4369, "epmd -port x": 0} {
		if got := epmdPort(strings.Fields(args)); got != want {
			t.Errorf("%q: port %d", args, got)
		}
	}
}
