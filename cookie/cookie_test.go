package cookie

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{64}$`)
	seen := map[string]bool{}
	for range 1000 {
		c := New()
		if !form.MatchString(c) || seen[c] || Check(c) != nil {
			t.Fatalf("%q, seen before: %v", c, seen[c])
		}
		seen[c] = true
	}
}

func TestDerive(t *testing.T) {
	// RFC 4231, test case 2
	got, err := Derive([]byte("Jefe"), "what do ya want for nothing?")
	if err != nil || got != "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" {
		t.Errorf("%s, %v", got, err)
	}
	if other, _ := Derive([]byte("Jefe"), "another label"); other == got {
		t.Error("two labels give one cookie")
	}
	if _, err := Derive(nil, "x"); err == nil {
		t.Error("no secret is no error")
	}
	if _, err := Derive([]byte("x"), ""); err == nil {
		t.Error("no label is no error")
	}
}

func TestCheck(t *testing.T) {
	for c, ok := range map[string]bool{
		"a": true, "-x": true, "a b": true, "~!": true, strings.Repeat("x", 255): true,
		"": false, "a\n": false, "a\x00": false, "é": false, "\x7f": false,
		strings.Repeat("x", 256): false,
	} {
		if err := Check(c); (err == nil) != ok {
			t.Errorf("%.20q: %v", c, err)
		}
		if err := Check(c); err != nil && len(c) > 2 && strings.Contains(err.Error(), c) {
			t.Errorf("the error shows the cookie: %v", err)
		}
	}
}

func write(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cookie")
	err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What Erlang reads, Load reads: see auth.erl, check_cookie.
func TestLoad(t *testing.T) {
	for text, want := range map[string]string{
		"abc": "abc", "abc\n": "abc", "abc\r\n": "abc", "abc\n \n": "abc",
		"abc \n": "abc ", "a b": "a b", "-abc": "-abc",
		"": "", "\n": "", "abc\ndef": "", "abc\x00": "", "é": "", strings.Repeat("x", 10_000): "",
	} {
		got, err := Load(write(t, text, 0o400))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q, %v", text, got, err)
		}
	}
	dir := t.TempDir()
	var e *Error
	if _, err := Load(dir); !errors.As(err, &e) || e.Path != dir {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if runtime.GOOS != "windows" {
		for _, mode := range []os.FileMode{0o440, 0o404, 0o644, 0o420} {
			path := write(t, "abc", mode)
			if _, err := Load(path); !errors.As(err, &e) || e.Hint != "chmod 400 "+path {
				t.Errorf("mode %o: %v", mode, err)
			}
		}
	}
}

func TestLoadOrCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c")
	first, err := LoadOrCreate(path)
	if err != nil || Check(first) != nil || len(first) != 64 {
		t.Fatalf("%q, %v", first, err)
	}
	if again, err := LoadOrCreate(path); again != first || err != nil {
		t.Errorf("then %q, %v", again, err)
	}
	if info, _ := os.Stat(path); runtime.GOOS != "windows" && info.Mode() != Mode {
		t.Errorf("mode %v", info.Mode())
	}
	if err := Rotate(path); err != nil {
		t.Fatal(err)
	}
	if c, err := Load(path); err != nil || c == first || len(c) != 64 {
		t.Errorf("after Rotate: %q, %v", c, err)
	}
	bad := write(t, "", 0o400)
	if _, err := LoadOrCreate(bad); err == nil {
		t.Error("an empty file is no error")
	}
	if text, _ := os.ReadFile(bad); len(text) != 0 {
		t.Error("a bad file was written to")
	}
	var e *Error
	_, err = LoadOrCreate(filepath.Join(dir, "none", "c"))
	if !errors.As(err, &e) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestDefaultPath(t *testing.T) {
	home, config := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("XDG_CONFIG_HOME", config)
	t.Setenv("AppData", config)
	inHome := filepath.Join(home, ".erlang.cookie")
	check := func(want string) {
		t.Helper()
		if got, err := DefaultPath(); got != want || err != nil {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
	check(inHome)
	dir, err := os.UserConfigDir()
	inConfig := filepath.Join(dir, "erlang", ".erlang.cookie")
	err = errors.Join(err, os.MkdirAll(filepath.Dir(inConfig), 0o700),
		os.WriteFile(inConfig, []byte("x"), 0o400))
	if err != nil {
		t.Fatal(err)
	}
	check(inConfig)
	if err := os.WriteFile(inHome, []byte("x"), 0o400); err != nil {
		t.Fatal(err)
	}
	check(inHome)
	t.Setenv("HOME", "")
	t.Setenv("USERPROFILE", "")
	if path, err := DefaultPath(); err == nil {
		t.Errorf("without a home: %s", path)
	}
}

func TestSource(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("MY_COOKIE", "from-env")
	t.Setenv("BAD_COOKIE", "line\n")
	t.Setenv(SecretVar, "Jefe")
	file := write(t, "from-file\n", 0o400)
	// RFC 4231, test case 2
	const derived = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	for s, want := range map[string]string{
		"env:MY_COOKIE": "from-env", "file:" + file: "from-file",
		"derive:what do ya want for nothing?": derived,
		"env:NO_COOKIE":                       "", "env:BAD_COOKIE": "", "file:" + file + "x": "",
	} {
		var source Source
		if err := source.UnmarshalText([]byte(s)); err != nil || source != Source(s) {
			t.Fatal(s, source, err)
		}
		if got, err := source.Cookie(); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", s, got, err)
		}
	}
	one, _ := Fresh.Cookie()
	two, err := Fresh.Cookie()
	if len(one) != 64 || one == two || err != nil {
		t.Errorf("fresh: %q, %q, %v", one, two, err)
	}
	inHome := filepath.Join(home, ".erlang.cookie")
	for _, user := range []Source{User, "user", ""} {
		c, err := user.Cookie()
		if onDisk, _ := Load(inHome); len(c) != 64 || c != onDisk || err != nil {
			t.Errorf("%q: %q, %v; in the file: %q", user, c, err, onDisk)
		}
	}
	t.Setenv(SecretVar, "")
	_, err = Source("derive:x").Cookie()
	if err == nil || !strings.Contains(err.Error(), SecretVar) {
		t.Errorf("no secret: %v", err)
	}
	var source Source
	if err := source.UnmarshalText(nil); err != ErrSource {
		t.Errorf("an empty text: %v", err)
	}
	for _, s := range []Source{
		"my-secret-cookie", "user:x", "user:", "fresh:", "file:", "env:", "derive:", "FILE:x",
		":", ":x",
	} {
		if err := source.UnmarshalText([]byte(s)); err != ErrSource || source != "" {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := s.Cookie(); err != ErrSource {
			t.Errorf("%q: %v", s, err)
		}
		if _, err := s.Path(); err != ErrSource {
			t.Errorf("%q: %v", s, err)
		}
	}
	for s, want := range map[Source]string{"": inHome, User: inHome, "file:a:b": "a:b"} {
		if path, err := s.Path(); path != want || err != nil {
			t.Errorf("%q: %q, %v", s, path, err)
		}
	}
	for s, kind := range map[Source]string{Fresh: "fresh", "env:X": "env", "derive:x": "derive"} {
		path, err := s.Path()
		if err == nil || err.Error() != "cookie: a source of the kind "+kind+" has no file" {
			t.Errorf("%q: %q, %v", s, path, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, text := range []string{
		"", "abc", "abc\n", "abc \r\n\n", "\n", " ", "\nabc", "abc\ndef", "abc\n \x00",
		"a\tb", "a\x00", "\xe6", "æ", "~\x7f", "\xef\xbb\xbfabc",
		strings.Repeat("x", 255) + "\n", strings.Repeat("x", 256),
		strings.Repeat("x", 256) + "\t", "abc" + strings.Repeat("\n", 70<<10),
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "c")
		if err := os.WriteFile(path, text, 0o400); err != nil {
			t.Fatal(err)
		}
		want, wantErr := checkCookie(text, nil)
		c, err := Load(path)
		if c != string(want) || (err == nil) != (wantErr == nil) {
			t.Errorf("%.300q was read as %q, %v; by Erlang as %q, %v", text, c, err, want, wantErr)
		}
		if err == nil && Check(c) != nil {
			t.Errorf("Load takes %q, Check does not", c)
		}
	})
}
