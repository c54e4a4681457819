package ensure

import (
	"cmp"
	"fmt"
	"os"

	"github.com/beamrun/beamrun/internal/parse"
)

// envDetach says the way for those who can't: a service's unit, an image, a test.
const envDetach = "BEAMRUN_DETACH"

// Detach says how the daemon is set apart from its starter.
type Detach string

const (
	// DetachAuto has systemd run the daemon where it must, and else is DetachSession. It must
	// inside a service of systemd, which ends all that the service has started together with it,
	// whatever its session: see systemd.kill(5). README.md of this directory says which ways there
	// are. Where all of them fail, it is DetachSession, with a warning.
	DetachAuto Detach = "auto"

	// DetachSession gives the daemon a session of its own, setsid(2); on Windows it has no console
	// (DETACHED_PROCESS).
	DetachSession Detach = "session"

	// DetachSystemd has systemd run the daemon, also outside of services: as a unit of the system
	// for root, else of the user's own manager. Where that fails, so does the call.
	DetachSystemd Detach = "systemd"
)

// UnmarshalText reads one of "auto", "session" and "systemd".
func (d *Detach) UnmarshalText(text []byte) error {
	switch v := Detach(text); v {
	case DetachAuto, DetachSession, DetachSystemd:
		*d = v
		return nil
	}
	return fmt.Errorf("%s is not auto, session or systemd", parse.Quoted(string(text)))
}

// detach is the way that the Config means: its own, else that of BEAMRUN_DETACH, else auto.
func (c *Config) detach() (d Detach, _ *Error) {
	from, s := "detach", string(c.Detach)
	if s == "" {
		from, s = envDetach, os.Getenv(envDetach)
	}
	err := d.UnmarshalText([]byte(cmp.Or(s, string(DetachAuto))))
	if err != nil {
		return "", configError(from, err, "it is one of auto, session and systemd")
	}
	return d, nil
}

// noUnit is the error where systemd has to run the daemon and can't.
func noUnit(e Endpoint, err error) *Error {
	return &Error{
		Kind: KindSpawn, Endpoint: e, Err: err, Hint: "let the way be chosen: detach auto",
	}
}
