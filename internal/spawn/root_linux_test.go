package spawn

import (
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/testenv"
)

// What the daemon of root's gets leads to nothing that another user can change.
func TestEnvAsRoot(t *testing.T) {
	dir := testenv.Hers(t, "bin", "lib")
	for key, value := range map[string]string{"PATH": dir + "/bin:/usr/bin:relative", "HOME": dir, "LD_LIBRARY_PATH": dir + "/lib",
		"DYLD_LIBRARY_PATH": dir + "/lib:/usr/lib", "TZ": ":" + dir + "/tz"} {
		t.Setenv(key, value)
	}
	if got := strings.Join(Env(), " "); got != "PATH=/usr/bin DYLD_LIBRARY_PATH=/usr/lib" {
		t.Error(got)
	}
	t.Setenv("PATH", dir+"/bin")
	t.Setenv("TZ", "Europe/Berlin")
	if got := strings.Join(Env(), " "); !strings.HasPrefix(got, "PATH="+safepath.SystemPath+" TZ=Europe/Berlin ") {
		t.Error(got)
	}
}
