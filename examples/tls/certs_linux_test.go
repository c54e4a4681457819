package tls

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/beamrun/beamrun/internal/testenv"
)

// A second call adds hosts to the same authority, and replaces nothing. Keys are for their user
// alone.
func TestCerts(t *testing.T) {
	testenv.Need(t, "openssl")
	dir := filepath.Join(t.TempDir(), "made", "tls")
	certs := func(args ...string) (string, error) {
		out, err := exec.Command("./certs.sh", args...).CombinedOutput()
		return string(out), err
	}
	for _, hosts := range [][]string{{"vm", "10.0.0.2"}, {"vm.example.org", "::1"}} {
		if out, err := certs(append([]string{dir}, hosts...)...); err != nil {
			t.Fatalf("%v: %v, %s", hosts, err, out)
		}
	}
	made := files(t, dir)
	for name, want := range map[string]fs.FileMode{
		"ca.key": 0o400, "ca.pem": 0o600, "vm": fs.ModeDir | 0o700, "vm/ca.pem": 0o600,
		"vm/cert.pem": 0o600, "vm/key.pem": 0o400, "vm/ssl_dist.conf": 0o600,
	} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info, err, want)
		}
	}
	for host, names := range map[string]string{
		"vm":             "DNS:vm",
		"vm.example.org": "DNS:vm.example.org",
		"10.0.0.2":       "IP Address:10.0.0.2, DNS:10.0.0.2",
		"::1":            "IP Address:0:0:0:0:0:0:0:1, DNS:::1",
	} {
		cert := filepath.Join(dir, host, "cert.pem")
		show := exec.Command("openssl", "x509", "-in", cert, "-noout", "-ext", "subjectAltName")
		out, err := show.Output()
		got := strings.Join(strings.Fields(string(out)), " ")
		if err != nil || !strings.HasSuffix(got, ": "+names) {
			t.Errorf("%s: %v, %s, want %s", host, err, out, names)
		}
		for _, purpose := range []string{"sslserver", "sslclient"} {
			verify := exec.Command("openssl", "verify", "-purpose", purpose,
				"-CAfile", filepath.Join(dir, "ca.pem"), cert)
			if out, err := verify.CombinedOutput(); err != nil {
				t.Errorf("%s: %v, %s", host, err, out)
			}
		}
	}

	for said, args := range map[string][]string{
		"usage":           {dir},
		"there already":   {dir, "new", "vm"},
		"that is no host": {dir, "new", "../vm"},
		"plain name":      {dir + `"`, "vm"},
	} {
		if out, err := certs(args...); err == nil || !strings.Contains(out, said) {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	if now := files(t, dir); now != made {
		t.Errorf("the files were\n%sand are\n%s", made, now)
	}
}

// files describes the files of a directory.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&all, "%s: %q\n", path, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
