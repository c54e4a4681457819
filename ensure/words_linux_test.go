package ensure

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/beamrun/beamrun/internal/owner"
	"github.com/beamrun/beamrun/internal/shell/shelltest"
	"github.com/beamrun/beamrun/internal/spawn"
	"github.com/beamrun/beamrun/internal/testenv"
)

// commandIn is the command in a hint, behind its last colon. It sees that the hint is one line.
func commandIn(t *testing.T, hint string) string {
	t.Helper()
	if strings.ContainsFunc(hint, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("%q is not one printable line", hint)
	}
	for _, mark := range []string{"see: ", "entered: ", "find it: ", "wake it: "} {
		if _, command, found := strings.Cut(hint, mark); found {
			command, _, _ = strings.Cut(command, "; else end it: ")
			return command
		}
	}
	t.Errorf("no command in %q", hint)
	return ""
}

// Whatever the program of --epmd is called, the hints of it are inert.
func TestHostileProgram(t *testing.T) {
	for _, s := range shelltest.Hostile {
		var commands []string
		for _, e := range []error{syscall.EACCES, syscall.ENOEXEC, syscall.ENOENT, syscall.ELOOP} {
			failed := &fs.PathError{Op: "exec", Path: s, Err: e}
			commands = append(commands, commandIn(t, spawn.Hint(s, failed)),
				commandIn(t, spawn.Hint("/x/"+s, e)))
		}
		if err := shelltest.Inert(strings.Join(commands, "; ")); err != nil {
			t.Error(err)
		}
		_, err := Config{Program: "/nowhere/" + s}.Find(t.Context())
		if e := new(Error); !errors.As(err, &e) || strings.ContainsFunc(e.Error(), isUnprintable) {
			t.Errorf("%q: %q", s, err)
		}
	}
}

// The name of a process that holds the lock, and the lock's path, are a part of one line.
func TestHostileHolder(t *testing.T) {
	testenv.Need(t, "flock", "cat")
	for _, s := range []string{"a\nhint: x", "a\n$ x", "\x1b[2J$(x)", "'; x '"} {
		dir := filepath.Join(t.TempDir(), s)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		tool, err := exec.LookPath("flock")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(tool, filepath.Join(dir, s)); err != nil {
			t.Fatal(err)
		}
		lock := lockFile(dir, 4711)
		holder := exec.Command(filepath.Join(dir, s), lock.Path(), "cat")
		stdin, err := holder.StdinPipe() // at its end both end
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stdin.Close(); holder.Wait() })
		for range 200 {
			if _, held := owner.OfLock(lock.Path()); held {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		c := Config{Port: testenv.Port(t)}
		var e Endpoint
		rerr := c.resolve(&e)
		_, aerr := acquire(ctx, lock, &Result{Endpoint: e})
		if rerr != nil || aerr == nil || strings.ContainsFunc(aerr.Error(), isUnprintable) {
			t.Fatalf("%q", aerr)
		}
		if err := shelltest.Inert(commandIn(t, aerr.Hint)); err != nil {
			t.Error(err)
		}
		t.Log(aerr)
	}
}

// Any process has any name.
func TestHostileComm(t *testing.T) {
	for _, s := range shelltest.Hostile {
		got := (owner.Process{PID: 1, Name: s}).String()
		if strings.ContainsFunc(got, isUnprintable) {
			t.Errorf("%q", got)
		}
	}
}

func isUnprintable(r rune) bool { return !unicode.IsPrint(r) }
