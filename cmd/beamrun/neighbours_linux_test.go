package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/beamrun/beamrun/internal/testenv"
)

// The users beside root on a host with neighbours. Neither has a name there.
const (
	mallory = 54321
	victim  = 54322
)

// onHostWithNeighbours begins a script for bash, run as root in network, pid, mount, uts and ipc
// namespaces of its own: lo is up, port 4369 is free, and /root, /home, /tmp and /run are empty.
// $BUILT is beamrun, and $ATTACK plays the attackers of attack_linux_test.go; every user may run
// both. `mallory CMD…` and `victim CMD…` run as those users, in their homes.
const onHostWithNeighbours = `
set -eu # until these directories are not the machine's
mount --make-rprivate /
ip link set lo up
hostname vm
for d in /root /home /run; do mount -t tmpfs -o mode=755 tmpfs "$d"; done
mkdir -m 700 /home/mallory /home/victim
chown 54321:54321 /home/mallory; chown 54322:54322 /home/victim
mkdir /run/keep; mount --bind "$0" /run/keep
BUILT=/run/keep/beamrun ATTACK=/run/keep/attack
mount -t tmpfs -o mode=1777 tmpfs /tmp
printf '127.0.0.1 localhost vm\n::1 localhost\n' >/run/hosts; mount --bind /run/hosts /etc/hosts
export HOME=/root PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin BEAMRUN_DETACH=session BUILT ATTACK
unset XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_CACHE_HOME XDG_STATE_HOME TMPDIR ERL_EPMD_PORT ERL_EPMD_ADDRESS
set +e
mallory() { env -C /home/mallory HOME=/home/mallory setpriv --reuid=54321 --regid=54321 --clear-groups "$@"; }
victim() { env -C /home/victim HOME=/home/victim setpriv --reuid=54322 --regid=54322 --clear-groups "$@"; }
await() { # until a command succeeds
	for i in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 0.05; done
	echo "did not happen: $*"
}
cd /root
`

// neighbours runs a script on a host of its own, with two other users beside root, see
// [onHostWithNeighbours], and returns what it printed.
func neighbours(t *testing.T, script string) string {
	t.Helper()
	testenv.Need(t, "epmd", "erl", "ip", "setpriv", "unshare", "bash")
	if os.Getuid() != 0 {
		testenv.Skip(t, "only root can make a host of its own, and be another user")
	}
	built, err := builtBeamrun()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "beamrun-neighbours-") // not t.TempDir: other users have to get there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err := errors.Join(err, os.Chmod(dir, 0o755), copyProgram(built, filepath.Join(dir, "beamrun")), copyProgram(self, filepath.Join(dir, "attack"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc",
		"bash", "-c", onHostWithNeighbours+script, dir)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func copyProgram(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(0o755), out.Close())
}

// Each user is one of its own, and nothing of the machine is theirs to write.
func TestNeighbours(t *testing.T) {
	want := fmt.Sprintf("0 %d %d\nnothing listens\n", mallory, victim)
	if got := neighbours(t, `
		echo "$(id -u) $(mallory id -u) $(victim id -u)"
		mallory touch /etc/passwd /run/keep/x 2>/dev/null && echo "mallory can write"
		mallory "$BUILT" version >/dev/null || echo "mallory cannot run beamrun"
		"$BUILT" -q names 2>/dev/null || echo "nothing listens"
	`); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
