package epmdtest_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/beamrun/beamrun/ensure"
	"github.com/beamrun/beamrun/ensure/epmd"
	"github.com/beamrun/beamrun/ensure/epmdtest"
)

// What the test of a program that embeds package ensure may look like.
func TestExample(t *testing.T) {
	server := epmdtest.New(t)
	server.Register("alice", 40001)

	// the code to test finds the node
	info, err := epmd.Lookup(t.Context(), server.Addr(), "alice")
	if err != nil || info.Port != 40001 {
		t.Errorf("%+v, %v", info, err)
	}

	// an epmd that is up is left alone
	config := ensure.Config{Port: server.Port(), Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Timeout: time.Second}
	res, err := ensure.Epmd(t.Context(), config)
	if err != nil || res.Started {
		t.Errorf("%+v, %v", res, err)
	}

	// and where something else has the port, the error says so
	server.SetFaults(epmdtest.Garbage)
	_, err = ensure.Epmd(t.Context(), config)
	var e *ensure.Error
	if !errors.As(err, &e) || e.Kind != ensure.KindForeign {
		t.Errorf("no epmd: %v", err)
	}
}
