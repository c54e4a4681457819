package epmdless

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// alone gives the test a directory for nodes of its own.
func alone(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, key := range []string{"HOME", "USERPROFILE", "LocalAppData"} {
		t.Setenv(key, home)
	}
	for _, key := range []string{"XDG_CACHE_HOME", "XDG_RUNTIME_DIR"} {
		t.Setenv(key, "")
	}
	folder, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(folder, home) {
		t.Fatalf("%s is not in %s", folder, home)
	}
	return folder
}

func TestParse(t *testing.T) {
	const line = "alice 34831 10.0.0.1 4711 4687709 0a4b13a6 pid:[4026531836]\n"
	want := Node{Name: "alice", Addr: netip.MustParseAddrPort("10.0.0.1:34831"), PID: 4711, birth: "4687709", boot: "0a4b13a6", space: "pid:[4026531836]"}
	if n, ok := parse(line); !ok || n != want {
		t.Errorf("%+v", n)
	}
	if n, ok := parse("a 1 :: 1 - - -\n"); !ok || n.Addr.Addr() != netip.IPv6Unspecified() {
		t.Errorf("%+v", n)
	}
	for _, bad := range []string{
		"", "\n", line[:len(line)-1], line + "\n", line + line, " " + line, strings.Replace(line, " ", "  ", 1),
		strings.Replace(line, "34831", "0", 1), strings.Replace(line, "34831", "65536", 1), strings.Replace(line, "34831", "-1", 1),
		strings.Replace(line, "34831", "0x10", 1), strings.Replace(line, "10.0.0.1", "host", 1), strings.Replace(line, "4711", "x", 1),
		strings.Replace(line, "alice", "", 1), strings.Replace(line, "alice", strings.Repeat("a", maxLine), 1), "\x00\xff", line[:20] + "\n",
	} {
		if n, ok := parse(bad); ok {
			t.Errorf("%q is %+v", bad, n)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("alice 34831 0.0.0.0 4711 4687709 0a4b13a6 pid:[4026531836]\n")
	f.Add("a 1 :: 1 - - -\n")
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := parse(text)
		if ok && (n.Name == "" || n.Addr.Port() == 0 || !n.Addr.IsValid() || strings.ContainsAny(n.Name, " \n") || len(text) > maxLine) {
			t.Errorf("%q is %+v", text, n)
		}
	})
}

// listen is a port where somebody listens.
func listen(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// closed is a port where nobody listens.
func closed(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Where nobody tells of processes, the port decides.
func TestNodesByTheirPort(t *testing.T) {
	folder := alone(t)
	open, refused := listen(t), closed(t)
	put := func(name, line string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("up.1", fmt.Sprintf("up %d 0.0.0.0 1 - - -\n", open))
	put("down.1", fmt.Sprintf("down %d 127.0.0.1 1 - - -\n", refused))
	nodes, strange, err := Nodes(t.Context())
	if err != nil || len(strange) != 0 || len(nodes) != 1 || nodes[0].Name != "up" || nodes[0].Addr.Port() != uint16(open) {
		t.Errorf("%+v, %q, %v", nodes, strange, err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if nodes, _, _ := Nodes(ctx); len(nodes) != 1 {
		t.Error("one that could not be asked is taken for dead")
	}
}

func TestInstall(t *testing.T) {
	alone(t)
	dir, err := Install()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, moduleName+".beam")
	isModule := func() {
		t.Helper()
		again, err := Install()
		if err != nil || again != dir {
			t.Fatalf("%s, %v", again, err)
		}
		info, err := os.Lstat(path)
		have, _ := os.ReadFile(path)
		if err != nil || !info.Mode().IsRegular() || !bytes.Equal(have, beam) {
			t.Fatalf("%v, %v, %d bytes", info, err, len(have))
		}
		if all, _ := filepath.Glob(filepath.Join(dir, "*")); len(all) != 1 {
			t.Fatalf("%q", all)
		}
	}
	isModule()
	before, _ := os.Stat(path)
	isModule()
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("the module was written again")
	}
	other := bytes.Clone(beam)
	other[len(other)-1] ^= 1
	for _, content := range [][]byte{other, nil, beam[:100], bytes.Repeat(beam, 2)} {
		os.Remove(path)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		isModule()
	}
	if runtime.GOOS != "windows" {
		outside := filepath.Join(t.TempDir(), "outside")
		os.WriteFile(outside, other, 0o600)
		os.Remove(path)
		if err := os.Symlink(outside, path); err != nil {
			t.Fatal(err)
		}
		isModule()
		if have, _ := os.ReadFile(outside); !bytes.Equal(have, other) {
			t.Error("it wrote through a link")
		}
	}
}

// Whatever stands where the directory should be, it is left alone.
func TestFolderIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		return // neither modes nor links for everybody
	}
	folder := alone(t)
	t.Setenv("TMPDIR", "/etc/passwd")
	base := filepath.Dir(folder)
	for what, spoil := range map[string]func() error{
		"open to others":         func() error { return os.Chmod(folder, 0o755) },
		"a file":                 func() error { return os.WriteFile(folder, nil, 0o600) },
		"a link":                 func() error { return os.Symlink(t.TempDir(), folder) },
		"in one open to others":  func() error { return errors.Join(os.Mkdir(folder, 0o700), os.Chmod(base, 0o777)) },
		"in one that is no dir":  func() error { return errors.Join(os.Remove(base), os.WriteFile(base, nil, 0o600)) },
		"in a link to elsewhere": func() error { return errors.Join(os.Remove(base), os.Symlink(t.TempDir(), base)) },
	} {
		os.RemoveAll(base)
		os.MkdirAll(base, 0o700)
		if what == "open to others" {
			os.Mkdir(folder, 0o700)
		}
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		_, err := Dir()
		var e *DirError
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", what, err)
		}
		if _, _, err := Nodes(t.Context()); !errors.As(err, &e) {
			t.Errorf("%s: Nodes: %v", what, err)
		}
	}
}

func TestYoungFiles(t *testing.T) {
	folder := alone(t)
	file := filepath.Join(folder, "a.1")
	for age, kept := range map[time.Duration]bool{0: true, time.Hour: false, -time.Hour: false} {
		if err := os.WriteFile(file, []byte("a 1"), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(file, time.Time{}, time.Now().Add(-age))
		nodes, strange, err := Nodes(t.Context())
		_, gone := os.Stat(file)
		if len(nodes)+len(strange) != 0 || err != nil || (gone == nil) != kept {
			t.Errorf("%v old: %v, %v, %v, %v", age, nodes, strange, err, gone)
		}
	}
}

// What stood at a path when it was judged is removed, and no later file of that name.
func TestRemoveWhatWasJudged(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.1")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.1", "a 1")
	f := file{path: path}
	var err error
	if f.info, err = os.Lstat(path); err != nil {
		t.Fatal(err)
	}
	write("next", "a 1")
	os.Chtimes(filepath.Join(dir, "next"), time.Time{}, time.Now().Add(time.Second))
	if err := os.Rename(filepath.Join(dir, "next"), path); err != nil {
		t.Fatal(err)
	}
	f.remove()
	if f.info, err = os.Lstat(path); err != nil {
		t.Fatalf("the next file was removed: %v", err)
	}
	if f.remove(); !isGone(path) {
		t.Error("it is still there")
	}
}

func isGone(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}
