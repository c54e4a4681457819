package cookie

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/testenv"
)

// smallDisk is a tmpfs in a mount namespace of its own, with one cookie file on it.
type smallDisk struct {
	Dir      string
	Options  string // of the tmpfs
	Fill     bool   // with what it still holds
	ReadOnly bool
	Limit    uint64 // of a file's bytes, which lets a part of it be written; 0: none
}

// smallReading is what came of making a cookie file there, of replacing the one there is, and of
// booting a node.
type smallReading struct {
	Made, Rotated reading
	Erl           string   // its refusal
	Left          []string // files after the first two
	Old           string   // the cookie there was, afterwards
}

func init() {
	roles["small disk"] = answer(func(d smallDisk) (out smallReading) {
		must := func(err error) {
			if err != nil {
				panic(err)
			}
		}
		old, made := filepath.Join(d.Dir, "old"), filepath.Join(d.Dir, fileName)
		full := filepath.Join(d.Dir, "full")
		must(unix.Mount("none", d.Dir, "tmpfs", 0, strings.TrimPrefix(d.Options+",mode=755", ",")))
		must(os.WriteFile(old, []byte(secret), 0o400))
		if d.Fill {
			for os.WriteFile(full, []byte("x"), 0o600) == nil {
				full += "x"
			}
			must(os.Remove(full)) // the last one: it has a name, and nothing in it
		}
		if d.ReadOnly {
			must(unix.Mount("none", d.Dir, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}
		if d.Limit > 0 {
			must(unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: d.Limit, Max: d.Limit}))
		}
		out.Made = readingOf(made, func() (string, error) { return LoadOrCreate(made) })
		out.Rotated = readingOf(old, func() (string, error) { return "", Rotate(old) })
		files, err := os.ReadDir(d.Dir)
		must(err)
		for _, f := range files {
			if !strings.HasPrefix(f.Name(), "full") {
				out.Left = append(out.Left, f.Name())
			}
		}
		text, err := os.ReadFile(old)
		must(err)
		out.Old = string(text)
		if d.Limit == 0 {
			erl := exec.Command("erl", "-noinput", "-start_epmd", "false",
				"-sname", "small", "-eval", "halt().")
			erl.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.Dir,
				"ERL_EPMD_PORT=1", "ERL_CRASH_DUMP_BYTES=0"}
			said, _ := erl.CombinedOutput()
			out.Erl = string(refusals.Find(said))
		}
		return out
	})
	roles["make"] = func() {
		path := os.Args[1]
		for i := range 50 {
			LoadOrCreate(path + strings.Repeat("x", i))
		}
		for {
			Rotate(path)
		}
	}
}

// Where the disk is full, half way too, nothing new is there, and nothing old is gone.
func TestFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can mount a small disk")
	}
	testenv.Need(t, "erl")
	self := ownBinary(t, openDir(t))
	for name, c := range map[string]struct {
		disk             smallDisk
		erl, words, hint string
	}{
		"no byte": {
			smallDisk{Options: "size=8k", Fill: true},
			"Failed to write", "no space left on device", "df -h DIR && df -i DIR",
		},
		"no inode": {
			smallDisk{Options: "nr_inodes=2"},
			"Failed to create", "no space left on device", "df -h DIR && df -i DIR",
		},
		"read-only": {
			smallDisk{ReadOnly: true},
			"Failed to create", "read-only file system", "df DIR",
		},
		"half way":  {smallDisk{Limit: 30}, "", "file too large", "ulimit -f unlimited"},
		"last byte": {smallDisk{Limit: 63}, "", "file too large", "ulimit -f unlimited"},
	} {
		t.Run(name, func(t *testing.T) {
			c.disk.Dir = t.TempDir()
			cmd := exec.Command(self)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			var got smallReading
			play(t, cmd, "small disk", c.disk, &got)
			hint := strings.ReplaceAll(c.hint, "DIR", c.disk.Dir)
			for _, r := range []reading{got.Made, got.Rotated} {
				if r.OK || r.Words != c.words || r.Hint != hint {
					t.Errorf("%s: %+v, want %q, %q", r.Path, r, c.words, hint)
				}
			}
			if got.Erl != c.erl {
				t.Errorf("erl says %q, want %q", got.Erl, c.erl)
			}
			if !slices.Equal(got.Left, []string{"old"}) || got.Old != secret {
				t.Errorf("files %q, and the old cookie is %q", got.Left, got.Old)
			}
		})
	}
}

// Whenever it is killed, a file is whole or not there.
func TestKilled(t *testing.T) {
	self := ownBinary(t, openDir(t))
	whole, killed := 0, 0
	for deadline := time.Now().Add(20 * time.Second); killed < 50; killed++ {
		if time.Now().After(deadline) {
			t.Fatalf("%d kills only", killed)
		}
		dir := t.TempDir()
		path := filepath.Join(dir, "c")
		cmd := exec.Command(self, path)
		cmd.Env = append(os.Environ(), roleVar+"=make")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		end := time.Now().Add(5 * time.Second)
		for ; time.Now().Before(end); time.Sleep(50 * time.Microsecond) {
			if files, _ := os.ReadDir(dir); len(files) > 0 {
				break
			}
		}
		time.Sleep(rand.N(4 * time.Millisecond))
		cmd.Process.Kill()
		cmd.Wait()
		files, _ := os.ReadDir(dir)
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".tmp") {
				continue // which no program reads
			}
			if c, err := Load(filepath.Join(dir, f.Name())); err != nil || len(c) != 64 {
				t.Errorf("after a kill: %d characters, %v", len(c), err)
			}
			whole++
		}
		if _, err := LoadOrCreate(path); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d kills, %d whole files", killed, whole)
}
