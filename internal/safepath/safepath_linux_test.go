package safepath_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/beamrun/beamrun/internal/safepath"
	"github.com/beamrun/beamrun/internal/testenv"
)

const mallory = 54321 // a user that no system has

const attackVar = "SAFEPATH_TEST_ATTACK"

// The test binary plays the attacker, as another user.
func TestMain(m *testing.M) {
	if dir := os.Getenv(attackVar); dir != "" {
		swap(dir)
		return
	}
	m.Run()
}

// tree is a directory of root's with one of mallory's in it.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T) tree {
	t.Helper()
	if os.Geteuid() != 0 {
		testenv.Skip(t, "only root can make another user's files")
	}
	dir, err := os.MkdirTemp("", "safepath-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	tr := tree{t, dir}
	tr.must(os.Chmod(dir, 0o755))
	return tr
}

func (tr tree) must(errs ...error) {
	tr.t.Helper()
	if err := errors.Join(errs...); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr tree) at(name string) string { return tr.dir + "/" + name }

// mkdir makes a directory; not os.Chmod, which has another number for the sticky bit.
func (tr tree) mkdir(name string, uid int, mode uint32) {
	tr.t.Helper()
	path := tr.at(name)
	tr.must(os.Mkdir(path, 0o700), os.Chown(path, uid, uid), syscall.Chmod(path, mode))
}

func (tr tree) file(name string, uid int, mode uint32) {
	tr.t.Helper()
	path := tr.at(name)
	tr.must(os.WriteFile(path, []byte(name), 0o600), os.Chown(path, uid, uid), syscall.Chmod(path, mode))
}

func (tr tree) link(to, name string, uid int) {
	tr.t.Helper()
	tr.must(os.Symlink(to, tr.at(name)), os.Lchown(tr.at(name), uid, uid))
}

// grown is the tree of the tables below.
func grown(t *testing.T) tree {
	tr := newTree(t)
	tr.mkdir("mine", 0, 0o755)
	tr.file("mine/file", 0, 0o400)
	tr.file("mine/theirs", mallory, 0o400)
	tr.file("mine/open", 0, 0o620)
	tr.mkdir("theirs", mallory, 0o755)
	tr.file("theirs/mine", 0, 0o400)
	tr.mkdir("theirs/dir", 0, 0o755)
	tr.file("theirs/dir/file", 0, 0o400)
	tr.mkdir("group", 0, 0o775)
	tr.file("group/file", 0, 0o400)
	tr.mkdir("sticky", 0, 0o1777)
	tr.mkdir("sticky/mine", 0, 0o755)
	tr.file("sticky/mine/file", 0, 0o400)
	tr.mkdir("sticky/theirs", mallory, 0o755)
	tr.file("sticky/file", 0, 0o400)
	tr.link("mine/file", "sticky/link", 0)
	tr.link("mine/file", "good", 0)
	tr.link("mine", "dir", 0)
	tr.link("mine/file", "planted", mallory)
	tr.link("theirs/mine", "away", 0)
	tr.link("../mine", "mine/up", 0)
	tr.link(tr.at("mine/file"), "absolute", 0)
	tr.link("loop", "loop", 0)
	tr.link("nothing", "dangling", 0)
	tr.link("theirs/nothing", "dangles-there", 0)
	tr.mkdir("deep", 0, 0o755)
	tr.mkdir("deep/er", 0, 0o755)
	tr.link("deep/er", "into", 0)
	return tr
}

// What each path leads to, for root, and what is refused. At is where the walk has to stop.
func TestFind(t *testing.T) {
	tr := grown(t)
	for _, c := range []struct {
		path string
		to   string // "": an error
		at   string // that of the *Error
		err  error
	}{
		{path: "mine/file", to: "mine/file"},
		{path: "./mine//.//file", to: "mine/file"},
		{path: "mine", to: "mine"},
		{path: "mine/../mine/file", to: "mine/file"},
		{path: "good", to: "mine/file"},
		{path: "dir/file", to: "mine/file"},
		{path: "absolute", to: "mine/file"},
		{path: "mine/up/file", to: "mine/file"},
		{path: "into/../er", to: "deep/er"}, // not tree/er, which a path cleaned by its text would be
		{path: "into/../../mine/file", to: "mine/file"},
		{path: "sticky/mine/file", to: "sticky/mine/file"},
		{path: "sticky/mine", to: "sticky/mine"},

		{path: "mine/theirs", at: "mine/theirs"},
		{path: "mine/open", at: "mine/open"},
		{path: "theirs", at: "theirs"},
		{path: "theirs/mine", at: "theirs"},
		{path: "theirs/nothing", at: "theirs"},
		{path: "theirs/dir/file", at: "theirs"},
		{path: "theirs/../mine/file", at: "theirs"},
		{path: "group/file", at: "group"},
		{path: "planted", at: "planted"},
		{path: "away", at: "theirs"},
		{path: "dangles-there", at: "theirs"},
		{path: "sticky/theirs", at: "sticky/theirs"},
		{path: "sticky/theirs/x", at: "sticky/theirs"},
		{path: "sticky/file", at: "sticky/file"}, // moved there by anyone out of their own directory, or linked
		{path: "sticky/link", at: "sticky/link"},

		{path: "mine/nothing", err: fs.ErrNotExist},
		{path: "dangling", err: fs.ErrNotExist},
		{path: "sticky/nothing", err: fs.ErrNotExist},
		{path: "nothing/file", err: fs.ErrNotExist},
		{path: "mine/nothing/../file", err: fs.ErrNotExist},
		{path: "loop", err: unix.ELOOP},
		{path: "mine/file/x", err: unix.ENOTDIR},
		{path: "mine/file/..", err: unix.ENOTDIR},
		{path: strings.Repeat("x", 300), err: unix.ENAMETOOLONG},
	} {
		t.Run(c.path[:min(40, len(c.path))], func(t *testing.T) {
			f, err := safepath.Find(nil, tr.at(c.path), 0, true)
			if f != nil {
				defer f.Close()
				if err == nil {
					err = f.Err
				}
			}
			unsafe := new(safepath.Error)
			switch {
			case c.at != "":
				if !errors.As(err, &unsafe) || unsafe.At != tr.at(c.at) || unsafe.Path != tr.at(c.path) {
					t.Errorf("%v, want one at %s", err, c.at)
				}
			case c.err != nil:
				if !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				}
			case err != nil:
				t.Error(err)
			default:
				want, err := os.Lstat(tr.at(c.to))
				tr.must(err)
				got, err := f.Stat()
				if err != nil || !os.SameFile(got, want) || f.Path() != tr.at(c.to) {
					t.Errorf("%s: %v, %v", f.Path(), got, err)
				}
			}
			// without strict, where the kernel leads
			want, statErr := os.Stat(tr.at(c.path))
			f, err = safepath.Find(nil, tr.at(c.path), 0, false)
			if err != nil {
				if statErr == nil || rootOf(err) != rootOf(statErr) {
					t.Errorf("not strict: %v; the kernel: %v", err, statErr)
				}
				return
			}
			defer f.Close()
			if got, err := f.Stat(); err == nil && !os.SameFile(got, want) || (err == nil) != (statErr == nil) {
				t.Errorf("not strict: %v, %v; the kernel: %v", got, err, statErr)
			}
		})
	}
	if _, err := safepath.Find(nil, "", 0, true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty path: %v", err)
	}
	for uid, path := range map[int]string{mallory: "theirs/mine", mallory + 1: "mine/file"} {
		if err := safepath.Check(tr.at(path), uid); err != nil {
			t.Errorf("uid %d: %v", uid, err)
		}
	}
	if err := safepath.Check(tr.at("theirs/mine"), mallory+1); err == nil {
		t.Error("a third user's path is safe in a directory of the second")
	}
	t.Chdir(tr.at("mine"))
	if err := safepath.Check("../dir/file", 0); err != nil {
		t.Error(err)
	}
}

func rootOf(err error) error {
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err
}

// A walk in another root does not leave it, by no link and no "..".
func TestFindInRoot(t *testing.T) {
	tr := newTree(t)
	tr.mkdir("root", 0, 0o755)
	tr.mkdir("root/etc", 0, 0o755)
	tr.file("root/etc/secret", 0, 0o400)
	tr.file("secret", 0, 0o400)
	tr.mkdir("etc", 0, 0o755)
	tr.file("etc/secret", 0, 0o400)
	tr.link("/etc/secret", "root/absolute", 0)
	tr.link("../../../../../etc/secret", "root/up", 0)
	tr.link("/../etc", "root/dir", 0)
	root, err := os.OpenFile(tr.at("root"), unix.O_PATH|unix.O_DIRECTORY, 0)
	tr.must(err)
	defer root.Close()
	for _, path := range []string{"/etc/secret", "etc/secret", "/../../etc/secret", "/absolute", "/up", "/dir/secret", "/etc/../../etc/secret"} {
		f, err := safepath.Find(root, path, 0, false)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		file, err := f.Open(os.O_RDONLY)
		tr.must(err)
		if text, _ := io.ReadAll(file); string(text) != "root/etc/secret" {
			t.Errorf("%s leads to %s", path, text)
		}
		file.Close()
		f.Close()
	}
	if f, err := safepath.Find(root, "/secret", 0, false); err != nil || f.Err == nil {
		t.Error("it has left the root")
	}
}

// What is made, linked, replaced and removed is in the directory that was looked at, whatever its
// path means by then.
func TestFoundIsHeld(t *testing.T) {
	tr := newTree(t)
	tr.mkdir("d", 0, 0o755)
	tr.file("d/old", 0, 0o400)
	f, err := safepath.Find(nil, tr.at("d/old"), 0, true)
	tr.must(err)
	defer f.Close()
	missing, err := safepath.Find(nil, tr.at("d/new"), 0, true)
	tr.must(err)
	defer missing.Close()
	tr.must(os.Rename(tr.at("d"), tr.at("moved")), os.Symlink("/etc", tr.at("d")))

	temp, err := f.Create("temp", 0o600)
	tr.must(err)
	temp.Close()
	if _, err := f.Create("temp", 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	tr.must(missing.Link("temp"), f.Replace("temp"))
	if err := missing.Link("old"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("linked over another: %v", err)
	}
	if _, err := f.Open(os.O_RDONLY); err == nil {
		t.Error("another file was opened in the place of the one that was looked at")
	}
	tr.must(f.Remove("old"))
	if left, _ := os.ReadDir(tr.at("moved")); len(left) != 1 || left[0].Name() != "new" {
		t.Errorf("left: %v", left)
	}
}

// A private directory is made only where nobody else can change what leads to it, and never through
// a link.
func TestMakePrivate(t *testing.T) {
	tr := grown(t)
	tr.mkdir("mine/private", 0, 0o700)
	tr.mkdir("sticky/trap", mallory, 0o700)
	tr.link("../mine", "sticky/trap2", mallory)
	for path, ok := range map[string]bool{
		"mine/new": true, "mine/private": true, "sticky/new": true, "dir/new2": true,
		"theirs/new": false, "group/new": false, "sticky/trap": false, "sticky/trap2": false, "sticky/mine": false,
		"good": false, "mine/up": false, "mine/file": false, "nothing/new": false, "mine/file/new": false,
	} {
		err := safepath.MakePrivate(tr.at(path), 0)
		if (err == nil) != ok {
			t.Errorf("%s: %v", path, err)
		}
		if info, serr := os.Lstat(tr.at(path)); ok && (serr != nil || info.Mode() != fs.ModeDir|0o700) {
			t.Errorf("%s: %v, %v", path, info, serr)
		}
	}
	if _, err := os.Lstat(tr.at("theirs/new")); err == nil {
		t.Error("it was made in another user's directory")
	}
}

// Root looks for programs only where root alone can put one.
func TestLookPath(t *testing.T) {
	tr := grown(t)
	for _, name := range []string{"mine/tool", "theirs/tool", "theirs/only", "group/tool"} {
		tr.file(name, 0, 0o755)
	}
	t.Setenv("PATH", strings.Join([]string{tr.at("theirs"), "theirs", "", tr.at("group"), tr.at("mine")}, ":"))
	t.Chdir(tr.dir)
	if got, err := safepath.LookPath("tool", 0); err != nil || got != tr.at("mine/tool") {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := safepath.LookPath("only", 0); !errors.As(err, new(*safepath.Error)) {
		t.Errorf("%s, %v", got, err)
	}
	if got := safepath.Trusted(os.Getenv("PATH"), 0); got != tr.at("mine") {
		t.Errorf("PATH for root: %q", got)
	}
	t.Setenv("PATH", tr.at("theirs"))
	if got, err := safepath.LookPath("sh", 0); err != nil || filepath.Base(got) != "sh" {
		t.Errorf("%s, %v", got, err)
	}
}

// swap makes, as mallory, what her directory holds into a directory, a link, a file and nothing,
// again and again.
func swap(dir string) {
	name, real, out := dir+"/dir", dir+"/real", dir+"/out"
	os.Mkdir(real, 0o755)
	os.WriteFile(real+"/file", []byte("hers"), 0o644)
	os.Symlink("../secrets", out)
	os.Rename(real, name)
	for {
		// RENAME_EXCHANGE leaves no moment without one
		unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, out, unix.RENAME_EXCHANGE)
	}
}

// While mallory swaps a directory of hers and a link to root's secrets, no strict walk gets past
// her directory, and one from a descriptor of hers, as her root, never opens a file outside.
func TestRace(t *testing.T) {
	tr := newTree(t)
	tr.mkdir("secrets", 0, 0o755)
	tr.file("secrets/file", 0, 0o644)
	tr.mkdir("hers", mallory, 0o755)
	self := filepath.Join(tr.dir, "attack")
	text, err := os.ReadFile("/proc/self/exe")
	tr.must(err, os.WriteFile(self, text, 0o755))
	attack := exec.Command(self)
	attack.Env = append(os.Environ(), attackVar+"="+tr.at("hers"))
	attack.Dir = "/"
	attack.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: mallory, Gid: mallory}}
	tr.must(attack.Start())
	defer func() { attack.Process.Kill(); attack.Wait() }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(tr.at("hers/dir")); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal("the attack does not begin")
		}
	}
	root, err := os.OpenFile(tr.at("hers"), unix.O_PATH|unix.O_DIRECTORY, 0)
	tr.must(err)
	defer root.Close()
	secrets, hers := 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
		if f, err := safepath.Find(nil, tr.at("hers/dir/file"), 0, true); err == nil {
			f.Close()
			t.Fatal("a path in her directory was called safe")
		}
		text, err := os.ReadFile(tr.at("hers/dir/file"))
		if err == nil && string(text) == "secrets/file" {
			secrets++ // what a plain open would have done
		}
		f, err := safepath.Find(root, "/dir/file", 0, false)
		if err != nil {
			continue
		}
		if file, err := f.Open(os.O_RDONLY); err == nil {
			if text, _ := io.ReadAll(file); string(text) != "hers" {
				t.Fatalf("outside of her root: %s", text)
			}
			hers++
			file.Close()
		}
		f.Close()
	}
	if secrets == 0 || hers == 0 {
		t.Errorf("no race: a plain open read the secret %d times, ours a file of hers %d times", secrets, hers)
	}
	t.Logf("a plain open read the secret %d times, ours a file of hers %d times", secrets, hers)
}

// A shared directory has its mode whatever the umask is, and one that others can change, or that is
// a link, is none.
func TestMakeShared(t *testing.T) {
	tr := newTree(t)
	uid := os.Geteuid()
	defer unix.Umask(unix.Umask(0o077))
	for range 2 {
		if err := safepath.MakeShared(tr.at("new"), uid); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(tr.at("new")); err != nil || info.Mode() != fs.ModeDir|0o755 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	for name, mode := range map[string]fs.FileMode{"closed": 0o700, "open": 0o775} {
		tr.must(os.Mkdir(tr.at(name), 0o700), os.Chmod(tr.at(name), mode))
		if err := safepath.MakeShared(tr.at(name), uid); err == nil {
			t.Errorf("mode %v is taken", mode)
		}
	}
	tr.must(os.Symlink(tr.at("new"), tr.at("alias")), os.WriteFile(tr.at("text"), nil, 0o755))
	for _, name := range []string{"alias", "text"} {
		if err := safepath.MakeShared(tr.at(name), uid); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
