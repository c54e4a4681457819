package cookiefile

import (
	"runtime"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/shell"
)

// A fix of words is no command, whatever it begins with. None names a command of beamrun's: whoever
// shows it joins that with what has to come first.
func TestFix(t *testing.T) {
	chmod, rotate := shell.New("chmod", "400").Path("/c"), shell.New("rotate").Path("/c")
	joined := "chmod 400 /c && rotate /c"
	if runtime.GOOS == "windows" { // cmd and PowerShell 5 share no &&
		joined = "chmod 400 /c"
	}
	for _, test := range []struct {
		fix        Fix
		text, with string
	}{
		{Fix{}, "", ""},
		{Fix{Words: "chmod is not what helps"}, "chmod is not what helps", ""},
		{Fix{Command: chmod}, "chmod 400 /c", "chmod 400 /c"},
		{Fix{Rotate: true}, "put a new cookie into it", "rotate /c"},
		{Fix{Command: chmod, Rotate: true}, "chmod 400 /c, then put a new cookie into it", joined},
		{Fix{Command: chmod.Arg(""), Words: "no command"}, "no command", ""},
	} {
		text, with := test.fix.String(), test.fix.With(rotate).String()
		if text != test.text || with != test.with {
			t.Errorf("%+v: %q, %q", test.fix, text, with)
		}
	}
	for _, fix := range []Fix{
		missingHint("/dev/fd/63"), missingHint("x"),
		textHint("x", errEmpty), textHint("x", errMore), textHint("/dev/x", errMore),
	} {
		if strings.Contains(fix.String(), "beamrun") || strings.Contains(fix.String(), "--") {
			t.Errorf("%q", fix)
		}
	}
}
