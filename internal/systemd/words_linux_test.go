package systemd

import (
	"testing"

	"github.com/beamrun/beamrun/internal/shell/shelltest"
)

// A unit's name that systemd prints, and a user's number, are words.
func TestHostileUnits(t *testing.T) {
	for _, s := range shelltest.Hostile {
		if got := unitsIn([]string{s, s + ".service", "epmd.socket"}); len(got) > 2 || got[len(got)-1] != "epmd.socket" {
			t.Errorf("%q: %q", s, got)
		}
		for _, user := range []string{"", "54321", s} {
			if err := shelltest.Inert(Keeper{Units: []string{"epmd.socket", s}, User: user}.StopCommand()); err != nil {
				t.Error(err)
			}
		}
	}
	me := Keeper{Units: []string{"epmd.socket"}, User: "54321"}.StopCommand()
	if want := `sudo -u '#54321' XDG_RUNTIME_DIR=/run/user/54321 systemctl --user stop epmd.socket`; me != want {
		t.Errorf("got %s, want %s", me, want)
	}
}
