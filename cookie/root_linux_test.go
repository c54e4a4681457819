package cookie

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/cookiefile"
	"github.com/beamrun/beamrun/internal/testenv"
)

// Attack C3: root was made to replace /etc/passwd by a cookie, and to make a file in a directory of
// its own, by links in a directory of mallory's. Whatever she puts there, root reads nothing, makes
// nothing and replaces nothing.
func TestRootTouchesNoPathOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can be attacked so")
	}
	base := openDir(t)
	root := place{t, filepath.Join(base, "root"), 0}
	hers := place{t, filepath.Join(base, "hers"), nobodyUID}
	for _, p := range []place{root, hers} {
		p.must(os.Mkdir(p.home, 0o755), os.Chown(p.home, p.uid, p.uid))
	}
	root.dir("etc")
	root.put("etc/passwd", "root:x:0:0\n", 0o644, 0)
	root.put("etc/shadow", secret, 0o400, 0)
	root.put("shared-mode", secret, 0o420, 0)
	root.link("../hers/own", "into-hers")
	root.dir("tmp")
	root.must(syscall.Chmod(filepath.Join(root.home, "tmp"), 0o1777))
	hers.put("own", secret, 0o400, nobodyUID)
	hers.put("planted", secret, 0o400, 0) // root's file, in her directory
	hers.link("../root/etc/passwd", "passwd")
	hers.link("../root/etc/shadow", "shadow")
	hers.link("../root/etc/new", "new")
	hers.dir("dir")
	// as anyone may move one there, out of their own directory
	root.put("tmp/moved", secret, 0o400, 0)
	planted := filepath.Join(root.home, "planted-link")
	root.must(os.Symlink("etc/shadow", planted), os.Lchown(planted, nobodyUID, nobodyUID))

	before, rootBefore := tree(t, hers.home), tree(t, root.home)
	for _, path := range []string{
		"hers/own", "hers/planted", "hers/passwd", "hers/shadow", "hers/new", "hers/missing",
		"hers/dir/missing", "hers/dir/../own", "hers/../root/etc/shadow", "root/into-hers",
		"root/tmp/moved", "root/tmp/missing", "root/planted-link",
	} {
		path := filepath.Join(base, "x")[:len(base)+1] + path // not Join alone: a .. has to stay
		for name, do := range map[string]func(string) error{
			"Load":         func(path string) error { _, err := Load(path); return err },
			"LoadOrCreate": func(path string) error { _, err := LoadOrCreate(path); return err },
			"Rotate":       Rotate,
		} {
			err := do(path)
			var stored *Error
			var file *cookiefile.Error
			if !errors.Is(err, ErrOtherUser) || !errors.As(err, &stored) || stored.Hint == "" ||
				!errors.As(err, &file) || !file.Fix.Command.IsZero() || file.Fix.Rotate {
				t.Errorf("%s %s: %v", name, path, err)
			}
			for _, word := range []string{"chown", "chmod", "rotate", secret} {
				if strings.Contains(err.Error(), word) {
					t.Errorf("%s %s shows %s: %v", name, path, word, err)
				}
			}
		}
	}
	after, rootAfter := tree(t, hers.home), tree(t, root.home)
	if !equal(before, after) || !equal(rootBefore, rootAfter) {
		t.Errorf("changed: %v, %v", after, rootAfter)
	}
	text, _ := os.ReadFile(filepath.Join(root.home, "etc/passwd"))
	if string(text) != "root:x:0:0\n" {
		t.Errorf("passwd holds %q", text)
	}
	// what is root's own, and only too open, root can put right
	var stored *Error
	_, err := Load(filepath.Join(root.home, "shared-mode"))
	if !errors.As(err, &stored) || !strings.HasPrefix(stored.Hint, "chmod 400 ") {
		t.Errorf("root's own, mode 0420: %v", err)
	}
}

func equal(a, b []string) bool { return strings.Join(a, "") == strings.Join(b, "") }

func init() {
	roles["swap"] = func() { // as mallory: two entries of her directory, again and again
		for {
			unix.Renameat2(unix.AT_FDCWD, os.Args[1], unix.AT_FDCWD, os.Args[2],
				unix.RENAME_EXCHANGE)
		}
	}
}

// The race of C3: between the look at a file and its replacement, mallory puts a link in the place
// of its directory.
func TestRotateRace(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can be attacked so")
	}
	base := openDir(t)
	root := place{t, filepath.Join(base, "root"), 0}
	hers := place{t, filepath.Join(base, "hers"), nobodyUID}
	for _, p := range []place{root, hers} {
		p.must(os.Mkdir(p.home, 0o755), os.Chown(p.home, p.uid, p.uid))
	}
	root.put("file", "of root's", 0o644, 0)
	hers.dir("dir")
	hers.put("dir/file", secret, 0o400, nobodyUID)
	hers.link("../root", "link")
	self := ownBinary(t, base)
	attack := exec.Command(self, filepath.Join(hers.home, "dir"), filepath.Join(hers.home, "link"))
	become(attack, nobodyUID)
	attack.Env = append(os.Environ(), roleVar+"=swap")
	hers.must(attack.Start())
	defer func() { attack.Process.Kill(); attack.Wait() }()
	tries := 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); tries++ {
		if err := Rotate(filepath.Join(hers.home, "dir/file")); err == nil {
			t.Fatal("root replaced a file in her directory")
		}
		if _, err := LoadOrCreate(filepath.Join(hers.home, "dir/new")); err == nil {
			t.Fatal("root made a file in her directory")
		}
	}
	if files, _ := os.ReadDir(root.home); len(files) != 1 {
		t.Errorf("in root's directory: %v", files)
	}
	text, err := os.ReadFile(filepath.Join(root.home, "file"))
	if !bytes.Equal(text, []byte("of root's")) {
		t.Errorf("root's file holds %q, %v", text, err)
	}
	t.Logf("%d tries", tries)
}

// Rotate replaces what it has looked at: for an ordinary user, too, not another user's file.
func TestRotateOnlyOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can make another user's file")
	}
	base := openDir(t)
	p := place{t, filepath.Join(base, "home"), nobodyUID}
	p.must(os.Mkdir(p.home, 0o755), os.Chown(p.home, p.uid, p.uid))
	p.put("theirs", secret, 0o400, p.other())
	cmd := exec.Command(ownBinary(t, base), "--cookie", "file:"+filepath.Join(p.home, "theirs"))
	become(cmd, p.uid)
	cmd.Env = append(os.Environ(), roleVar+"=rotate")
	out, err := cmd.CombinedOutput()
	const want = "it belongs to uid 54322; hint: sudo chown 54321 "
	if err == nil || !strings.Contains(string(out), want) {
		t.Errorf("%v: %s", err, out)
	}
	if text, _ := os.ReadFile(filepath.Join(p.home, "theirs")); string(text) != secret {
		t.Error("it was replaced")
	}
}

// A file is not waited for, whoever holds it: one with a lease, a pipe in the place of a file.
func TestLoadNeverWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	err := errors.Join(os.WriteFile(path, []byte(secret), 0o600), os.Chmod(path, 0o400))
	if err != nil {
		t.Fatal(err)
	}
	holder, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	if _, err := unix.FcntlInt(holder.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
		t.Skipf("no lease on this file system: %v", err)
	}
	begin := time.Now()
	_, err = Load(path)
	if took := time.Since(begin); took > time.Second || err == nil {
		t.Errorf("%v after %v", err, took)
	}
}
